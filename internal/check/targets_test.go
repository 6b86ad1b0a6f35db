package check_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
)

const (
	first  = "repository NREL/EnergyPlus"
	second = "repository NREL/OpenStudio"
)

// two is a setting whose pool serves two repositories.
func two(s setting) setting {
	s.gh.Repositories = []gh.RepositorySpec{{Name: "NREL/OpenStudio"}}
	change := s.file
	s.file = func(c *config.Config) {
		c.Pools[0].More = []runner.Target{{Owner: "NREL", Repo: "OpenStudio"}}
		if change != nil {
			change(c)
		}
	}
	return s
}

// at has GitHub answer for a repository, where the path ends so, with that status; 0 is no answer.
func at(repository, path string, status int) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return through(func(r *http.Request) (*http.Response, error) {
			switch {
			case !strings.Contains(r.URL.Path+"/", "/repos/"+repository+"/") || !strings.HasSuffix(r.URL.Path, path):
				return next.RoundTrip(r)
			case status == 0:
				return nil, errors.New("connection reset")
			}
			return &http.Response{Status: http.StatusText(status), StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})
	}
}

// TestTheRepositoryThatFailsIsNamedAndTheOtherIsWell has one of two fail, each once.
func TestTheRepositoryThatFailsIsNamedAndTheOtherIsWell(t *testing.T) {
	only := func(name string) setting {
		return setting{gh: gh.Options{Tokens: []gh.TokenSpec{{Token: otherToken, Repositories: []string{name}}}}, file: useToken}
	}
	for _, tc := range []struct {
		name string
		setting
		fails, well      string
		id, reason, cure string
	}{
		{"the token isn't for the second", only("NREL/EnergyPlus"), second, first, "github-target", "404", "add NREL/OpenStudio"},
		{"the token isn't for the first", only("NREL/OpenStudio"), first, second, "github-target", "404", "add NREL/EnergyPlus"},
		{"no Actions in the second", setting{through: at("NREL/OpenStudio", "/actions/runs", http.StatusForbidden)}, second, first, "github-permission", "can't read jobs", "Actions: Read and write"},
		{"no Administration in the first", setting{through: at("NREL/EnergyPlus", "/actions/runners", http.StatusForbidden)}, first, second, "github-permission", "can't read runners", "Administration: Read and write"},
		{"an outage of the first", setting{through: at("NREL/EnergyPlus", "", http.StatusBadGateway)}, first, second, "github-target", "502", "try again"},
		{"the first doesn't answer", setting{through: at("NREL/EnergyPlus", "", 0)}, first, second, "github-target", "connection reset", "try again"},
		{"the second is public", setting{gh: gh.Options{}, env: []string{"RUNNER_FORKS=allow"}}, second, first, "github-forks", "is public", "RUNNER_FORKS=deny"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := two(tc.setting)
			s.gh.Repositories[0].Public = tc.id == "github-forks"
			found := look(t, s)
			f := finding(t, found, tc.id)
			if f.Level != check.Error || f.What != tc.fails || !strings.Contains(f.Reason, tc.reason) || !strings.Contains(f.Cure, tc.cure) {
				t.Errorf("got %+v, want an error of %s with %q and cure %q", f, tc.fails, tc.reason, tc.cure)
			}
			if wrong := bad(found); len(wrong) != 1 {
				t.Errorf("found %+v, want that alone", wrong)
			}
			if !slices.ContainsFunc(found, func(f check.Finding) bool {
				return f.ID == "github-permission" && f.What == tc.well && f.Level == check.OK
			}) {
				t.Errorf("nothing says that %s is well: %+v", tc.well, found)
			}
		})
	}
}

func TestBothRepositoriesAreNamedAsTheRunnerGroups(t *testing.T) {
	for _, f := range look(t, two(setting{})) {
		if f.ID == "github-group" && !strings.Contains(f.Reason, "only NREL/EnergyPlus, NREL/OpenStudio send jobs") {
			t.Errorf("got %+v", f)
		}
	}
}

func TestRequestsOfAllRepositoriesAreHeldAgainstTheLimit(t *testing.T) {
	many := func(c *config.Config) {
		for _, name := range strings.Fields("a b c d e f g") {
			c.Pools[0].More = append(c.Pools[0].More, runner.Target{Owner: "NREL", Repo: name})
		}
	}
	for _, tc := range []struct {
		name string
		setting
		level        check.Level
		reason, cure string
	}{
		{"two", setting{}, check.OK, "reading 2 repositories every 15s takes up to 1920 an hour, of 5000", ""},
		{"nine", setting{file: many}, check.Warning, "reading 9 repositories every 15s takes up to 8640 an hour, of 5000", "set poll_interval to 26s or more"},
		{"nine, less often", setting{file: func(c *config.Config) { many(c); c.PollInterval = 26 * time.Second }}, check.OK, "up to 4968", ""},
		{"others use the token", setting{gh: gh.Options{RateLimit: 3000}, limitLeft: 290}, check.Warning, " of 3000 are left until ", "what else uses the token"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := two(tc.setting)
			for _, name := range strings.Fields("a b c d e f g") {
				s.gh.Repositories = append(s.gh.Repositories, gh.RepositorySpec{Name: "NREL/" + name})
			}
			found := look(t, s)
			i := slices.IndexFunc(found, func(f check.Finding) bool { return f.ID == "github-rate" })
			if i < 0 {
				t.Fatalf("no such finding among %+v", found)
			}
			if f := found[i]; f.Level != tc.level || !strings.Contains(f.Reason, tc.reason) || !strings.Contains(f.Cure, tc.cure) {
				t.Errorf("got %+v, want %s with %q and cure %q", f, tc.level, tc.reason, tc.cure)
			}
		})
	}
}
