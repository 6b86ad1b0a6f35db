package gh

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestJobsAreQueuedCancelledAndReleasedByDoor(t *testing.T) {
	b := overListener(t, Options{})
	var out struct{ IDs []int64 }
	b.must(http.StatusOK, http.MethodPost, "/_sim/jobs",
		`{"count":2,"labels":["self-hosted","linux"],"steps":["echo a",{"name":"b","run":"echo b"}],"duration_ms":1500,"env":{"A":"1"},"status":"waiting","name":"test"}`, &out)
	if len(out.IDs) != 2 {
		t.Fatalf("%+v", out)
	}
	spec := b.s.world.jobs[out.IDs[1]].spec
	if spec.name != "test (2)" || len(spec.steps) != 2 || spec.steps[0].Run != "echo a" || spec.steps[1] != (StepSpec{Name: "b", Run: "echo b"}) || spec.duration != 1500*time.Millisecond {
		t.Errorf("%+v", spec)
	}
	door := func(id int64, verb string) string { return fmt.Sprintf("/_sim/jobs/%d/%s", id, verb) }
	b.must(http.StatusOK, http.MethodPost, door(out.IDs[0], "release"), nil, nil)
	b.must(http.StatusNotFound, http.MethodPost, door(out.IDs[0], "release"), nil, nil)
	b.must(http.StatusOK, http.MethodPost, door(out.IDs[1], "cancel"), nil, nil)
	b.must(http.StatusNotFound, http.MethodPost, door(out.IDs[1], "cancel"), nil, nil)
	b.must(http.StatusNotFound, http.MethodPost, door(out.IDs[1], "paint"), nil, nil)
	b.must(http.StatusNotFound, http.MethodPost, "/_sim/jobs/x/cancel", nil, nil)
	var st State
	b.must(http.StatusOK, http.MethodGet, "/_sim/state", nil, &st)
	if len(st.Jobs) != 2 || st.Jobs[0].Status != "queued" || st.Jobs[1].Conclusion != "cancelled" || len(st.Requests) != 0 {
		t.Errorf("%+v", st)
	}
}

func TestDoorsSayWhatIsWrongWithABody(t *testing.T) {
	b := inProcess(t, Options{})
	for _, tc := range []struct{ method, path, body, says string }{
		{"POST", "/_sim/jobs", `{"label":["x"]}`, `unknown field "label"`},
		{"POST", "/_sim/jobs", `{"steps":[{"script":"x"}]}`, "step"},
		{"POST", "/_sim/jobs", `{"repository":"x"}`, "OWNER/REPO"},
		{"POST", "/_sim/jobs", `{"count":-1}`, "count"},
		{"POST", "/_sim/jobs", `{"status":"done"}`, "waiting"},
		{"POST", "/_sim/faults", `{"fault":"boom"}`, "reset_before"},
		{"POST", "/_sim/faults", `{"kind":"500"}`, "kind"},
		{"DELETE", "/_sim/faults?id=x", "", "number"},
		{"POST", "/_sim/faults/release?id=7", "", "no such fault"},
		{"POST", "/_sim/rate_limit", `{"left":1}`, "left"},
		{"GET", "/_sim/nothing", "", "no door"},
	} {
		g := b.ask(tc.method, tc.path, tc.body)
		if g.status/100 != 4 || !strings.Contains(strings.ReplaceAll(string(g.body), `\"`, `"`), tc.says) {
			t.Errorf("%s %s %s: %d %s", tc.method, tc.path, tc.body, g.status, g.body)
		}
	}
}

func TestFaultsAndLimitsAreSetByDoor(t *testing.T) {
	b := inProcess(t, Options{})
	var armed struct{ ID int64 }
	b.must(http.StatusOK, http.MethodPost, "/_sim/faults", `{"match":{"path":"/user","count":-1},"fault":"503"}`, &armed)
	b.must(http.StatusServiceUnavailable, http.MethodGet, "/user", nil, nil)
	var list []FaultState
	b.must(http.StatusOK, http.MethodGet, "/_sim/faults", nil, &list)
	if len(list) != 1 || list[0].ID != armed.ID || list[0].Fired != 1 || list[0].Kind != "503" {
		t.Errorf("%+v", list)
	}
	b.must(http.StatusOK, http.MethodPost, fmt.Sprintf("/_sim/faults/release?id=%d", armed.ID), nil, nil)
	b.must(http.StatusOK, http.MethodDelete, fmt.Sprintf("/_sim/faults?id=%d", armed.ID), nil, nil)
	b.must(http.StatusOK, http.MethodGet, "/user", nil, nil)
	b.must(http.StatusOK, http.MethodPost, "/_sim/rate_limit", `{"remaining":1}`, nil)
	b.must(http.StatusOK, http.MethodGet, "/user", nil, nil)
	b.must(http.StatusForbidden, http.MethodGet, "/user", nil, nil)
}

func TestDoorsAreForThisMachineOnly(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	for remote, want := range map[string]int{"127.0.0.1:5": 200, "[::1]:5": 200, "10.0.2.15:5": 403, "": 403} {
		r := httptest.NewRequest(http.MethodGet, "/_sim/state", nil)
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("client %q: %d, want %d", remote, w.Code, want)
		}
	}
}

func TestImpossibleOptionsAreNamed(t *testing.T) {
	for says, o := range map[string]Options{
		"repository": {Repository: "x"}, "runner URL": {RunnerURL: "10.0.2.2"}, "rate limit status": {RateLimitStatus: 500}, "lease": {Lease: -1},
	} {
		if err := o.Check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if err := (Options{}).Check(); err != nil {
		t.Error(err)
	}
}

func TestSameSeedGivesTheSameCredentials(t *testing.T) {
	a, b, other := New(Options{Seed: 1}), New(Options{Seed: 1}), New(Options{Seed: 2})
	defer a.Close()
	defer b.Close()
	defer other.Close()
	if a.Info() != b.Info() || a.Info().Token == other.Info().Token {
		t.Errorf("%+v %+v %+v", a.Info(), b.Info(), other.Info())
	}
}
