package gh

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/runnerproto"
)

// registrationToken asks for one, or for a remove token.
func (b *bench) token(base, kind string) string {
	b.t.Helper()
	var out struct{ Token string }
	b.must(http.StatusCreated, http.MethodPost, base+"/"+kind+"-token", nil, &out)
	return out.Token
}

func TestRegistrationTokenMakesRunnersTheWayOfConfigSh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		token := b.token(runners, "registration")
		want := runnerproto.RegisterRequest{URL: "http://github.sim/NREL/EnergyPlus", Name: "classic", Labels: []string{"gpu", "linux"}, Ephemeral: true}
		encoded, err := runnerproto.Register(t.Context(), b.transport, token, want)
		if err != nil {
			t.Fatal(err)
		}
		if r := b.s.Runners()[0]; !slices.Equal(r.Labels, []string{"self-hosted", "Linux", "X64", "gpu"}) || !r.Ephemeral || r.Scope != "NREL/EnergyPlus" {
			t.Errorf("%+v", r)
		}
		if _, err := runnerproto.Register(t.Context(), b.transport, token, want); !errors.Is(err, runnerproto.ErrExists) {
			t.Errorf("same name: %v", err)
		}
		want.Replace, want.NoDefaultLabels = true, true
		again, err := runnerproto.Register(t.Context(), b.transport, token, want)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.client(encoded).Open(t.Context(), "host", "2.336.0"); !errors.Is(err, runnerproto.ErrGone) {
			t.Errorf("replaced runner: %v", err)
		}
		if r := b.s.Runners()[1]; !slices.Equal(r.Labels, []string{"gpu", "linux"}) {
			t.Errorf("%+v", r)
		}
		c := b.client(again)
		if err := c.Open(t.Context(), "host", "2.336.0"); err != nil {
			t.Fatal(err)
		}
		job := b.s.AddJobs(JobSpec{Labels: []string{"gpu"}})[0]
		if err := c.Start(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		if _, err := runnerproto.Register(t.Context(), b.transport, token, want); !errors.Is(err, runnerproto.ErrInvalid) {
			t.Errorf("replacing a busy runner: %v", err)
		}
		time.Sleep(time.Hour)
		want.Name = "late"
		if _, err := runnerproto.Register(t.Context(), b.transport, token, want); !errors.Is(err, runnerproto.ErrUnauthorized) {
			t.Errorf("an hour later: %v", err)
		}
	})
}

func TestRegistrationIsRefusedForWrongTokensAndNames(t *testing.T) {
	b := inProcess(t, Options{Repositories: []RepositorySpec{{Name: "NREL/other"}}})
	repo, org, removal := b.token(runners, "registration"), b.token("/orgs/NREL/actions/runners", "registration"), b.token(runners, "remove")
	const url = "http://github.sim/NREL/EnergyPlus"
	for name, tc := range map[string]struct {
		token string
		req   runnerproto.RegisterRequest
		want  error
	}{
		"good":                 {repo, runnerproto.RegisterRequest{URL: url + "/", Name: "a", RunnerGroup: "default"}, nil},
		"organization":         {org, runnerproto.RegisterRequest{URL: "http://github.sim/nrel", Name: "b"}, nil},
		"unknown token":        {"A123", runnerproto.RegisterRequest{URL: url, Name: "c"}, runnerproto.ErrUnauthorized},
		"remove token":         {removal, runnerproto.RegisterRequest{URL: url, Name: "c"}, runnerproto.ErrUnauthorized},
		"another repository":   {repo, runnerproto.RegisterRequest{URL: "http://github.sim/NREL/other", Name: "c"}, runnerproto.ErrInvalid},
		"the organization's":   {org, runnerproto.RegisterRequest{URL: url, Name: "c"}, runnerproto.ErrInvalid},
		"no name":              {repo, runnerproto.RegisterRequest{URL: url}, runnerproto.ErrInvalid},
		"forbidden name":       {repo, runnerproto.RegisterRequest{URL: url, Name: "c*"}, runnerproto.ErrInvalid},
		"label with a comma":   {repo, runnerproto.RegisterRequest{URL: url, Name: "c", Labels: []string{"a,b"}}, runnerproto.ErrInvalid},
		"unknown runner group": {repo, runnerproto.RegisterRequest{URL: url, Name: "c", RunnerGroup: "gold"}, runnerproto.ErrInvalid},
	} {
		encoded, err := runnerproto.Register(t.Context(), b.transport, tc.token, tc.req)
		if !errors.Is(err, tc.want) || (err == nil) != (encoded != "") {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func TestRunnerOfManyJobsStaysAfterEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		encoded, err := runnerproto.Register(t.Context(), b.transport, b.token(runners, "registration"),
			runnerproto.RegisterRequest{URL: "http://github.sim/NREL/EnergyPlus", Name: "pet"})
		if err != nil {
			t.Fatal(err)
		}
		c := b.client(encoded)
		if err := c.Open(t.Context(), "host", "2.336.0"); err != nil {
			t.Fatal(err)
		}
		ids := b.s.AddJobs(JobSpec{Count: 3})
		for range ids {
			m := b.take(c)
			if err := c.Start(t.Context(), m.JobID); err != nil {
				t.Fatal(err)
			}
			if err := c.Complete(t.Context(), m.JobID, runnerproto.Failed); err != nil {
				t.Fatal(err)
			}
		}
		if r := b.s.Runners()[0]; !slices.Equal(r.Jobs, ids) || !r.RemovedAt.IsZero() {
			t.Errorf("%+v", r)
		}
		b.must(http.StatusNoContent, http.MethodDelete, runners+"/101", nil, nil)
	})
}

func TestStateHoldsNoSecret(t *testing.T) {
	b := inProcess(t, Options{})
	b.s.AddJobs(JobSpec{})
	c, _ := b.online("ep-1", "self-hosted")
	b.take(c)
	ticket := b.token(runners, "registration")
	g := b.ask(http.MethodGet, "/_sim/state", nil)
	secrets := []string{b.s.Info().Token, ticket, b.s.world.registrations[101].secret}
	for _, s := range secrets {
		if len(s) < 20 || strings.Contains(string(g.body), s) {
			t.Errorf("the state tells a secret of %d characters", len(s))
		}
	}
	if !strings.Contains(string(g.body), "generate-jitconfig") || !strings.Contains(string(g.body), `"login":"mayfly-dispatcher"`) {
		t.Errorf("the state misses requests: %s", g.body)
	}
}
