package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/runner"
)

func TestRunnersAreReadFromGitHubsJSON(t *testing.T) {
	c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, example(t, "runner-paginated")) }))
	got, err := c.Runners(t.Context(), octo)
	if err != nil {
		t.Fatal(err)
	}
	want := []runner.Registration{
		{ID: 23, Name: "linux_runner", Online: true, Busy: true, Labels: []string{"self-hosted", "X64", "Linux"}},
		{ID: 24, Name: "mac_runner", Labels: []string{"self-hosted", "X64", "macOS", "no-gpu"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestNoRunnersIsAnEmptyListWithoutError(t *testing.T) {
	if got, err := newClient(t, newFake(t)).Runners(t.Context(), octo); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestAllPagesOfRunnersAreRead(t *testing.T) {
	f := newFake(t)
	for i := range 301 {
		f.addRunner(int64(i+1), fmt.Sprintf("r-%d", i+1), "offline", false)
	}
	c := overTCP(t, underV3(f))
	got, err := c.Runners(t.Context(), octo)
	if err != nil || len(got) != 301 || got[300].Name != "r-301" {
		t.Fatalf("%d runners, %v", len(got), err)
	}
	if r, err := c.RunnerByName(t.Context(), octo, "r-250"); err != nil || r.ID != 250 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := c.RunnerByName(t.Context(), octo, "r-999"); !errors.Is(err, NotFound) {
		t.Errorf("%v", err)
	}
	if r, err := c.Runner(t.Context(), octo, 7); err != nil || r.Name != "r-7" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRunnerIsFoundByNameWhereTheServerDoesntFilter(t *testing.T) {
	f := newFake(t)
	f.addRunner(1, "R", "online", false)
	f.addRunner(2, "r", "online", false)
	c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		q.Del("name")
		r.URL.RawQuery = q.Encode()
		f.ServeHTTP(w, r)
	}))
	if r, err := c.RunnerByName(t.Context(), octo, "r"); err != nil || r.ID != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRemovalTellsBusyGoneAndDoneApart(t *testing.T) {
	f := newFake(t)
	f.addRunner(1, "idle", "online", false)
	f.addRunner(2, "busy", "online", true)
	c := newClient(t, f)
	if err := c.RemoveRunner(t.Context(), octo, 1); err != nil {
		t.Errorf("idle: %v", err)
	}
	if err := c.RemoveRunner(t.Context(), octo, 1); !errors.Is(err, NotFound) {
		t.Errorf("gone: %v", err)
	}
	err := c.RemoveRunner(t.Context(), octo, 2)
	if !errors.Is(err, Busy) || !strings.Contains(err.Error(), "still running a job") {
		t.Errorf("busy: %v", err)
	}
	if _, err := c.Runner(t.Context(), octo, 1); !errors.Is(err, NotFound) {
		t.Errorf("gone: %v", err)
	}
	if got, err := c.Runners(t.Context(), octo); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRefusedRemovalIsBusyInWhateverFormGitHubSaysIt(t *testing.T) {
	for status, message := range map[int]string{
		400: "Runner is currently running a job and cannot be deleted", 409: "The runner is still running a job", 422: "Validation Failed",
	} {
		c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { say(w, status, object{"message": message}) }))
		if err := c.RemoveRunner(t.Context(), octo, 1); !errors.Is(err, Busy) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A token that lost its access gets 404 for everything. That isn't "the runner is gone": VMs with jobs would be
// destroyed.
func TestLostAccessIsNeverTakenForAGoneRunner(t *testing.T) {
	f := newFake(t)
	f.addRunner(1, "r", "online", true)
	for name, list := range map[string]struct {
		status int
		want   Kind
	}{
		"404": {http.StatusNotFound, Permission}, "403": {http.StatusForbidden, Permission}, "401": {http.StatusUnauthorized, Unauthorized},
		"502": {http.StatusBadGateway, Unavailable}, "429": {http.StatusTooManyRequests, RateLimited},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/actions/runners") {
					say(w, list.status, object{"message": "no"})
					return
				}
				say(w, http.StatusNotFound, object{"message": "Not Found"})
			}))
			if err := c.RemoveRunner(t.Context(), octo, 1); !errors.Is(err, list.want) || errors.Is(err, NotFound) {
				t.Errorf("remove: %v", err)
			}
			c = newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/actions/runners") {
					say(w, list.status, object{"message": "no"})
					return
				}
				say(w, http.StatusNotFound, object{"message": "Not Found"})
			}))
			if _, err := c.Runner(t.Context(), octo, 1); !errors.Is(err, list.want) || errors.Is(err, NotFound) {
				t.Errorf("get: %v", err)
			}
		})
	}
}

func TestIdentityIsMadeForTheRunnerAskedFor(t *testing.T) {
	f := newFake(t)
	c := newClient(t, f)
	before := time.Now()
	id, err := c.CreateJITConfig(t.Context(), octo, "ep-0123456789", []string{"self-hosted", "energyplus"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if id.RegistrationID != 1000 || id.Name != "ep-0123456789" || id.JITConfig.Reveal() != testJIT || id.MintedAt.Before(before) || id.MintedAt.After(time.Now()) {
		t.Errorf("%+v", id)
	}
	var sent object
	if err := json.Unmarshal([]byte(f.bodies[0]), &sent); err != nil {
		t.Fatal(err)
	}
	want := object{"name": "ep-0123456789", "runner_group_id": float64(1), "labels": []any{"self-hosted", "energyplus"}}
	if d := cmp.Diff(want, sent); d != "" {
		t.Error(d)
	}
	r := f.seen[0]
	for header, value := range map[string]string{
		"X-GitHub-Api-Version": "2022-11-28", "User-Agent": "mayfly/dev", "Authorization": "Bearer " + testToken, "Content-Type": "application/json",
	} {
		if got := r.Header.Get(header); got != value {
			t.Errorf("%s: %q, want %q", header, got, value)
		}
	}
	_, err = c.CreateJITConfig(t.Context(), octo, "ep-0123456789", []string{"self-hosted"}, 1)
	if !errors.Is(err, Exists) || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("the name is taken: %v", err)
	}
}

func TestIdentityOfAnotherRunnerIsNotTaken(t *testing.T) {
	good := func() object { return object{"runner": object{"id": 1, "name": "r"}, "encoded_jit_config": testJIT} }
	for name, o := range map[string]object{
		"other name": with(good(), object{"runner": object{"id": 1, "name": "s"}}), "no id": with(good(), object{"runner": object{"name": "r"}}),
		"no identity": with(good(), object{"encoded_jit_config": ""}), "no runner": {"encoded_jit_config": testJIT},
	} {
		c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusCreated, o) }))
		if id, err := c.CreateJITConfig(t.Context(), octo, "r", []string{"x"}, 1); !errors.Is(err, MaybeHappened) || !id.JITConfig.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatGitHubIsKnownToRefuseIsNotSent(t *testing.T) {
	f := newFake(t)
	c := newClient(t, f)
	cases := map[string]struct {
		target runner.Target
		name   string
		labels []string
	}{
		"long name":        {octo, strings.Repeat("a", 65), []string{"x"}},
		"slash in name":    {octo, "a/b", []string{"x"}},
		"no name":          {octo, "", []string{"x"}},
		"line break":       {octo, "a\nb", []string{"x"}},
		"no labels":        {octo, "a", nil},
		"too many labels":  {octo, "a", slices.Repeat([]string{"x"}, 101)},
		"empty label":      {octo, "a", []string{""}},
		"comma":            {octo, "a", []string{"x,y"}},
		"long label":       {octo, "a", []string{strings.Repeat("x", 257)}},
		"target with path": {runner.Target{Owner: "o/../../user", Repo: "r"}, "a", []string{"x"}},
		"no target":        {runner.Target{}, "a", []string{"x"}},
	}
	for name, tc := range cases {
		_, err := c.CreateJITConfig(t.Context(), tc.target, tc.name, tc.labels, 1)
		if !errors.Is(err, Invalid) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		tidy(t, err)
	}
	bad := runner.Target{Owner: "..", Repo: "x/y"}
	_, e1 := c.Jobs(t.Context(), bad)
	_, e2 := c.Runners(t.Context(), bad)
	_, e3 := c.Runner(t.Context(), bad, 1)
	_, e4 := c.Repository(t.Context(), bad)
	_, e5 := c.CreateRegistrationToken(t.Context(), bad)
	for i, err := range []error{e1, e2, e3, e4, e5, c.RemoveRunner(t.Context(), bad, 1)} {
		if !errors.Is(err, Invalid) {
			t.Errorf("call %d: %v", i+1, err)
		}
	}
	if n := len(f.log()); n != 0 {
		t.Errorf("%d requests were sent: %q", n, f.log())
	}
}

func TestRegistrationTokenIsReadFromGitHubsJSON(t *testing.T) {
	got, err := newClient(t, newFake(t)).CreateRegistrationToken(t.Context(), octo)
	want := example(t, "authentication-token")
	at, _ := time.Parse(time.RFC3339, want["expires_at"].(string))
	if err != nil || got.Token.Reveal() != want["token"] || !got.ExpiresAt.Equal(at) {
		t.Errorf("%v %v, %v", got.Token.Reveal(), got.ExpiresAt, err)
	}
}

func TestRepositoryIsTheCheckOfTokenAndTarget(t *testing.T) {
	f := newFake(t)
	got, err := newClient(t, f).Repository(t.Context(), octo)
	if err != nil || !got.Private {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := newClient(t, f).Repository(t.Context(), runner.Target{Owner: "octo-org", Repo: "other"}); !errors.Is(err, NotFound) {
		t.Errorf("%v", err)
	}
	c := newClient(t, f, func(o *Options) { o.Token = runner.NewSecret("wrong") })
	if _, err := c.Repository(t.Context(), octo); !errors.Is(err, NotFound) {
		t.Errorf("%v", err)
	}
}
