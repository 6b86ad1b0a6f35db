package gh

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const jitPath = runners + "/generate-jitconfig"

func TestFaultsSpoilTheReplyBeforeOrAfterTheEffect(t *testing.T) {
	for kind, want := range map[string]struct {
		status int // 0: no reply
		effect bool
	}{
		"reset_before": {0, false}, "reset_after": {0, true}, "500": {500, false}, "502": {502, false}, "503": {503, false},
		"500_after": {500, true}, "502_after": {502, true}, "503_after": {503, true}, "403_secondary": {403, false}, "429": {429, false},
	} {
		for way, reach := range map[string]func(*testing.T, Options) *bench{"in process": inProcess, "over TCP": overListener} {
			t.Run(kind+" "+way, func(t *testing.T) {
				b := reach(t, Options{})
				b.arm(FaultSpec{Kind: kind, RetryAfter: 9, Match: FaultMatch{Method: "post", Path: "/repos/*/*/actions/runners/generate-jitconfig"}})
				g, err := b.try(http.MethodPost, "/api/v3"+jitPath, jitBody("a", "x"))
				if want.status == 0 {
					if !errors.Is(err, syscall.ECONNRESET) {
						t.Errorf("%+v, %v", g, err)
					}
				} else if err != nil || g.status != want.status {
					t.Errorf("%d %s, %v", g.status, g.body, err)
				}
				if (want.status == 403 || want.status == 429) && (g.header.Get("Retry-After") != "9" || !strings.Contains(string(g.body), "secondary rate limit")) {
					t.Errorf("%v %s", g.header, g.body)
				}
				if n := len(b.s.Runners()); (n == 1) != want.effect {
					t.Errorf("%d registrations", n)
				}
				if r := b.s.State().Requests[0]; r.Fault != kind || r.Status != want.status {
					t.Errorf("log %+v", r)
				}
			})
		}
	}
}

func (b *bench) arm(spec FaultSpec) int64 {
	b.t.Helper()
	id, err := b.s.Fault(spec)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func TestHeldRequestGoesOnWhenReleased(t *testing.T) {
	for kind, effect := range map[string]int{"hold_before": 0, "hold_after": 1} {
		synctest.Test(t, func(t *testing.T) {
			b := inProcess(t, Options{})
			id := b.arm(FaultSpec{Kind: kind, Match: FaultMatch{Path: "**/generate-jitconfig"}})
			done := make(chan got, 1)
			go func() { done <- b.ask(http.MethodPost, jitPath, jitBody("a", "x")) }()
			time.Sleep(time.Hour)
			if n := len(b.s.Runners()); n != effect {
				t.Errorf("%s: %d registrations while it is held", kind, n)
			}
			if f := b.s.Faults()[0]; f.Fired != 1 || f.Released {
				t.Errorf("%+v", f)
			}
			if !b.s.ReleaseFault(id) || b.s.ReleaseFault(id+1) {
				t.Error("release")
			}
			if g := <-done; g.status != http.StatusCreated {
				t.Errorf("%s: %d", kind, g.status)
			}
		})
	}
}

func TestDelayedRequestTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		b.arm(FaultSpec{Kind: "delay", DelayMS: 5000})
		begun := time.Now()
		b.must(http.StatusOK, http.MethodGet, runners, nil, nil)
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestListFaultsHideRunnersAndTheirNumber(t *testing.T) {
	for kind, want := range map[string]int{"partial_list": 2, "empty_list": 0} {
		b := inProcess(t, Options{})
		for i := range 3 {
			b.mint(fmt.Sprintf("ep-%d", i), "x")
		}
		tag := b.ask(http.MethodGet, runners, nil).header.Get("ETag")
		b.arm(FaultSpec{Kind: kind, Match: FaultMatch{Path: runners}})
		g := b.ask(http.MethodGet, runners, nil, "If-None-Match", tag)
		var list struct {
			Total   int `json:"total_count"`
			Runners []runnerJSON
		}
		if err := json.Unmarshal(g.body, &list); err != nil || list.Total != want || len(list.Runners) != want {
			t.Errorf("%s: %v %s", kind, err, g.body)
		}
		b.must(http.StatusOK, http.MethodGet, runners, nil, &list)
		if list.Total != 3 {
			t.Errorf("%s: %d afterwards", kind, list.Total)
		}
	}
}

func TestFaultCountsMatchingRequestsOnly(t *testing.T) {
	b := inProcess(t, Options{})
	b.arm(FaultSpec{Kind: "500", Match: FaultMatch{Method: "GET", Path: "/user", Nth: 2, Count: 2}})
	var got []int
	for range 5 {
		b.must(http.StatusOK, http.MethodGet, runners, nil, nil)
		got = append(got, b.ask(http.MethodGet, "/user", nil).status)
	}
	if fmt.Sprint(got) != "[200 500 500 200 200]" {
		t.Errorf("%v", got)
	}
	if f := b.s.Faults()[0]; f.Seen != 5 || f.Fired != 2 {
		t.Errorf("%+v", f)
	}
	b.arm(FaultSpec{Kind: "502", Match: FaultMatch{Count: -1}, Message: "Bad gateway to nowhere"})
	for range 3 {
		if g := b.ask(http.MethodGet, runners, nil); g.status != http.StatusBadGateway || !strings.Contains(string(g.body), "nowhere") {
			t.Errorf("%d %s", g.status, g.body)
		}
	}
	if n := b.s.ClearFaults(0); n != 2 {
		t.Errorf("%d removed", n)
	}
	b.must(http.StatusOK, http.MethodGet, runners, nil, nil)
}

func TestImpossibleFaultsAreRefused(t *testing.T) {
	b := inProcess(t, Options{})
	for _, spec := range []FaultSpec{{Kind: "404"}, {}, {Kind: "delay", DelayMS: -1}, {Kind: "429", RetryAfter: -1}, {Kind: "500", Match: FaultMatch{Count: -2}}} {
		if _, err := b.s.Fault(spec); err == nil {
			t.Errorf("%+v is accepted", spec)
		}
	}
}

func TestCloseEndsHeldRequestsAndPolls(t *testing.T) {
	b := overListener(t, Options{})
	c, _ := b.online("ep-1", "self-hosted")
	b.arm(FaultSpec{Kind: "hold_after", Match: FaultMatch{Path: "/user"}})
	ends := make(chan error, 2)
	go func() { _, err := c.Message(t.Context(), 0); ends <- err }()
	go func() { _, err := b.try(http.MethodGet, "/user", nil); ends <- err }()
	for len(b.s.State().Requests) < 4 { // both have arrived
		time.Sleep(time.Millisecond)
	}
	b.s.Close()
	for range 2 {
		if err := <-ends; err == nil {
			t.Error("a request was answered by a server that had closed")
		}
	}
	if _, err := inProcessOf(b).try(http.MethodGet, "/user", nil); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after Close: %v", err)
	}
}

// inProcessOf reaches the same stand-in without a connection.
func inProcessOf(b *bench) *bench { return &bench{b.t, b.s, "http://github.sim", b.s.RoundTripper()} }
