package gh

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestBothPrefixesServeTheSame(t *testing.T) {
	b := inProcess(t, Options{})
	b.s.AddJobs(JobSpec{})
	for _, path := range []string{"/user", runners, "/repos/NREL/EnergyPlus/actions/runs", "/repos/nrel/energyplus/actions/runs"} {
		root, ghes := b.ask(http.MethodGet, path, nil), b.ask(http.MethodGet, "/api/v3"+path, nil)
		if root.status != http.StatusOK || ghes.status != http.StatusOK {
			t.Errorf("%s: %d and %d", path, root.status, ghes.status)
		}
		if strings.ReplaceAll(string(ghes.body), "github.sim/api/v3", "github.sim") != string(root.body) {
			t.Errorf("%s differs:\n%s\n%s", path, root.body, ghes.body)
		}
	}
}

func TestUnchangedReplyCostsNoBudget(t *testing.T) {
	b := inProcess(t, Options{RateLimit: 10})
	first := b.ask(http.MethodGet, runners, nil)
	if first.header.Get("X-RateLimit-Remaining") != "9" {
		t.Fatalf("headers %v", first.header)
	}
	tag := first.header.Get("ETag")
	same := b.ask(http.MethodGet, runners, nil, "If-None-Match", `"other", `+tag)
	if same.status != http.StatusNotModified || len(same.body) != 0 || same.header.Get("X-RateLimit-Remaining") != "9" {
		t.Errorf("%d %q %v", same.status, same.body, same.header)
	}
	b.mint("ep-1", "self-hosted")
	changed := b.ask(http.MethodGet, runners, nil, "If-None-Match", tag)
	if changed.status != http.StatusOK || changed.header.Get("ETag") == tag || changed.header.Get("X-RateLimit-Remaining") != "7" {
		t.Errorf("after a change: %d %v", changed.status, changed.header)
	}
}

func TestUsedUpLimitRefusesUntilItsWindowIsOver(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusTooManyRequests} {
		synctest.Test(t, func(t *testing.T) {
			b := inProcess(t, Options{RateLimit: 3, RateLimitStatus: status})
			for range 3 {
				b.must(http.StatusOK, http.MethodGet, runners, nil, nil)
			}
			g := b.ask(http.MethodGet, runners, nil)
			if g.status != status || g.header.Get("X-RateLimit-Remaining") != "0" || !strings.Contains(string(g.body), "API rate limit exceeded") {
				t.Errorf("%d %s %v", g.status, g.body, g.header)
			}
			b.must(http.StatusOK, http.MethodGet, "/rate_limit", nil, nil)
			if g := b.ask(http.MethodPost, runners+"/generate-jitconfig", jitBody("a", "x")); g.status != status {
				t.Errorf("a change: %d", g.status)
			}
			time.Sleep(time.Hour)
			b.must(http.StatusOK, http.MethodGet, runners, nil, nil)
		})
	}
}

func TestLinksLeadThroughAllPages(t *testing.T) {
	b := inProcess(t, Options{})
	b.s.AddJobs(JobSpec{Count: 25, PerRun: 1})
	next := regexp.MustCompile(`<http://github\.sim([^>]*)>; rel="next"`)
	for _, prefix := range []string{"", "/api/v3"} {
		var ids []int64
		path, pages := prefix+"/repos/NREL/EnergyPlus/actions/runs?status=queued&per_page=10", 0
		for path != "" {
			g := b.ask(http.MethodGet, path, nil)
			var list struct {
				Total int                  `json:"total_count"`
				Runs  []struct{ ID int64 } `json:"workflow_runs"`
			}
			if err := json.Unmarshal(g.body, &list); err != nil || list.Total != 25 {
				t.Fatalf("%v: %s", err, g.body)
			}
			for _, r := range list.Runs {
				ids = append(ids, r.ID)
			}
			link := g.header.Get("Link")
			if pages++; pages == 2 && (!strings.Contains(link, `rel="prev"`) || !strings.Contains(link, `rel="first"`) || !strings.Contains(link, `rel="last"`)) {
				t.Errorf("Link of the middle page: %s", link)
			}
			path = ""
			if m := next.FindStringSubmatch(link); m != nil {
				path = m[1]
				if !strings.HasPrefix(path, prefix+"/repositories/") || !strings.Contains(path, "status=queued") {
					t.Errorf("next %s", path)
				}
			}
		}
		if pages != 3 || len(ids) != 25 || !slices.IsSortedFunc(ids, func(a, b int64) int { return int(b - a) }) {
			t.Errorf("%d pages, runs %v", pages, ids)
		}
	}
	if g := b.ask(http.MethodGet, "/repos/NREL/EnergyPlus/actions/runs?per_page=1000", nil); g.header.Get("Link") != "" {
		t.Errorf("Link though all fit: %s", g.header.Get("Link"))
	}
}

func TestFilteredRunsEndAtAThousand(t *testing.T) {
	b := inProcess(t, Options{})
	b.s.AddJobs(JobSpec{Count: 1010, PerRun: 1})
	for path, want := range map[string]int{"?status=queued&per_page=1": 1000, "?per_page=1": 1010} {
		var list struct {
			Total int `json:"total_count"`
		}
		b.must(http.StatusOK, http.MethodGet, "/repos/NREL/EnergyPlus/actions/runs"+path, nil, &list)
		if list.Total != want {
			t.Errorf("%s: %d", path, list.Total)
		}
	}
}

func TestTokensSeeAndMayOnlyWhatTheyShould(t *testing.T) {
	b := inProcess(t, Options{
		Repositories: []RepositorySpec{{Name: "octo/open", Public: true}, {Name: "octo/shut"}},
		Tokens: []TokenSpec{
			{Token: "reader", Permissions: map[string]string{"actions": "read", "administration": "read"}},
			{Token: "octo", Repositories: []string{"octo/shut"}},
		},
	})
	jit := func(repo string) string { return "/repos/" + repo + "/actions/runners/generate-jitconfig" }
	for _, tc := range []struct {
		auth, method, path string
		want               int
	}{
		{"", "GET", runners, 401},
		{"Bearer nobody", "GET", runners, 401},
		{"Basic reader", "GET", runners, 401},
		{"token reader", "GET", runners, 200},
		{"Bearer reader", "GET", "/repos/NREL/EnergyPlus/actions/runs", 200},
		{"Bearer reader", "POST", jit("NREL/EnergyPlus"), 403},
		{"Bearer reader", "GET", "/orgs/NREL/actions/runners", 403},
		{"Bearer octo", "GET", runners, 404},
		{"Bearer octo", "GET", "/orgs/NREL/actions/runners", 404},
		{"Bearer octo", "POST", jit("octo/shut"), 201},
		{"Bearer octo", "GET", "/repos/octo/open/actions/runs", 200},
		{"Bearer octo", "POST", jit("octo/open"), 403},
	} {
		g := b.ask(tc.method, tc.path, jitBody("n", "x"), "Authorization", tc.auth)
		if g.status != tc.want {
			t.Errorf("%q %s %s: %d, want %d: %s", tc.auth, tc.method, tc.path, g.status, tc.want, g.body)
		}
		if tc.want == 403 && !strings.Contains(g.header.Get("X-Accepted-GitHub-Permissions"), "=") {
			t.Errorf("%q %s: no word of the permission: %v", tc.auth, tc.path, g.header)
		}
	}
	b.s.RevokeToken("octo")
	if g := b.ask(http.MethodGet, "/user", nil, "Authorization", "Bearer octo"); g.status != http.StatusUnauthorized {
		t.Errorf("revoked token: %d", g.status)
	}
}

func TestUnknownAPIVersionAndMissingUserAgentAreRefused(t *testing.T) {
	b := overListener(t, Options{})
	if g := b.ask(http.MethodGet, "/user", nil, "X-GitHub-Api-Version", "2001-01-01"); g.status != http.StatusBadRequest {
		t.Errorf("version: %d %s", g.status, g.body)
	}
	if g := b.ask(http.MethodGet, "/user", nil, "User-Agent", ""); g.status != http.StatusForbidden || !strings.Contains(string(g.body), "User-Agent") {
		t.Errorf("no User-Agent: %d %s", g.status, g.body)
	}
	b.must(http.StatusNotFound, http.MethodPatch, "/user", nil, nil)
	if g := b.ask(http.MethodHead, "/user", nil); g.status != http.StatusOK || len(g.body) != 0 || g.header.Get("ETag") == "" {
		t.Errorf("HEAD: %+v", g)
	}
}

func TestRunReadsAsItsLeastAdvancedJob(t *testing.T) {
	for _, eager := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := inProcess(t, Options{StartedRunsReadInProgress: eager})
			ids := b.s.AddJobs(JobSpec{Count: 2})
			c, _ := b.online("ep-1", "self-hosted")
			run := b.take(c).RunID
			if err := c.Start(t.Context(), ids[0]); err != nil {
				t.Fatal(err)
			}
			var r struct{ Status string }
			b.must(http.StatusOK, http.MethodGet, fmt.Sprintf("/repos/NREL/EnergyPlus/actions/runs/%d", run), nil, &r)
			if want := map[bool]string{false: "queued", true: "in_progress"}[eager]; r.Status != want {
				t.Errorf("status %s, want %s", r.Status, want)
			}
		})
	}
}

func TestJobInTheQueueIsCancelledAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		id := b.s.AddJobs(JobSpec{})[0]
		time.Sleep(24 * time.Hour)
		if j := b.job(id); j.Conclusion != "cancelled" {
			t.Errorf("%+v", j)
		}
	})
}

func TestCreatedFilter(t *testing.T) {
	noon := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	for q, want := range map[string]bool{
		"": true, "2026-03-05": true, "2026-03-04": false, ">=2026-03-05": true, ">2026-03-05": false, "<2026-03-05": false,
		"<=2026-03-05": true, ">2026-03-04": true, "2026-03-01..2026-03-05": true, "2026-03-06..*": false, "*..2026-03-05T11:59:59Z": false,
		"*..2026-03-05T12:00:00Z": true, ">=2026-03-05T14:00:00+02:00": true, "2026-03-05T12:00:00Z": true,
	} {
		f, err := parseCreated(q)
		if err != nil || f(noon) != want {
			t.Errorf("%q: %v, want %t", q, err, want)
		}
	}
	for _, q := range []string{"yesterday", "*", ">", "2026-03-05..soon", "=>2026-03-05", "2026-13-01"} {
		if _, err := parseCreated(q); err == nil {
			t.Errorf("%q is accepted", q)
		}
	}
}

func FuzzCreatedFilter(f *testing.F) {
	for _, q := range []string{"2026-03-05", ">=2026-03-05T12:00:00Z", "*..2026-03-05", "..", "<"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		accepts, err := parseCreated(q)
		if (accepts == nil) == (err == nil) {
			t.Errorf("%q: filter and error %v", q, err)
		}
	})
}
