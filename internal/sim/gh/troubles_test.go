package gh

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/runnerproto"
)

// names are the runners that the list shows.
func (b *bench) names() []string {
	b.t.Helper()
	var list struct {
		Total   int `json:"total_count"`
		Runners []runnerJSON
	}
	b.must(http.StatusOK, http.MethodGet, runners, nil, &list)
	if list.Total != len(list.Runners) {
		b.t.Errorf("%d runners, and a count of %d", len(list.Runners), list.Total)
	}
	out := []string{}
	for _, r := range list.Runners {
		out = append(out, r.Name)
	}
	return out
}

func TestListMayShowRunnersTwiceOrInAnotherOrder(t *testing.T) {
	for kind, want := range map[string]string{"double_list": "[ep-0 ep-0 ep-1 ep-1]", "reverse_list": "[ep-1 ep-0]"} {
		b := inProcess(t, Options{})
		b.mint("ep-0", "x")
		b.mint("ep-1", "x")
		b.arm(FaultSpec{Kind: kind, Match: FaultMatch{Path: runners}})
		if got := fmt.Sprint(b.names()); got != want {
			t.Errorf("%s: %s", kind, got)
		}
		if got := fmt.Sprint(b.names()); got != "[ep-0 ep-1]" {
			t.Errorf("%s: %s afterwards", kind, got)
		}
	}
}

func TestStaleReplySaysThatNothingChanged(t *testing.T) {
	b := inProcess(t, Options{})
	tag := b.ask(http.MethodGet, runners, nil).header.Get("ETag")
	b.mint("ep-0", "x")
	b.arm(FaultSpec{Kind: "stale_304", Match: FaultMatch{Path: runners, Count: 2}})
	if g := b.ask(http.MethodGet, runners, nil, "If-None-Match", tag); g.status != http.StatusNotModified || g.header.Get("ETag") != tag || len(g.body) != 0 {
		t.Errorf("%d %v %s", g.status, g.header, g.body)
	}
	if g := b.ask(http.MethodGet, runners, nil); g.status != http.StatusOK {
		t.Errorf("a client without an older reply: %d", g.status)
	}
	if g := b.ask(http.MethodGet, runners, nil, "If-None-Match", tag); g.status != http.StatusOK {
		t.Errorf("afterwards: %d", g.status)
	}
}

func TestPrimaryLimitAndConflictAreRefusedAsGitHubDoes(t *testing.T) {
	b := inProcess(t, Options{})
	b.arm(FaultSpec{Kind: "403_primary"})
	g := b.ask(http.MethodGet, runners, nil)
	if g.status != http.StatusForbidden || g.header.Get("X-RateLimit-Remaining") != "0" || g.header.Get("X-RateLimit-Reset") == "" || g.header.Get("Retry-After") != "" {
		t.Errorf("%d %v", g.status, g.header)
	}
	b.arm(FaultSpec{Kind: "409", Match: FaultMatch{Path: jitPath}})
	g = b.ask(http.MethodPost, jitPath, jitBody("ep-7", "x"))
	var body struct{ Message string }
	if err := json.Unmarshal(g.body, &body); err != nil || g.status != http.StatusConflict || body.Message != "Already exists - A runner with the name ep-7 already exists." {
		t.Errorf("%d %s", g.status, g.body)
	}
	if got := b.names(); len(got) != 0 {
		t.Errorf("registered: %v", got)
	}
}

func TestRefusalsForPermissionsAndNumbersAreGitHubs(t *testing.T) {
	b := inProcess(t, Options{})
	b.arm(FaultSpec{Kind: "403_permission", Match: FaultMatch{Path: jitPath}})
	g := b.ask(http.MethodPost, jitPath, jitBody("ep-7", "x"))
	if g.status != http.StatusForbidden || g.header.Get("X-Accepted-GitHub-Permissions") != "administration=write" || g.header.Get("Retry-After") != "" {
		t.Errorf("%d %v", g.status, g.header)
	}
	b.arm(FaultSpec{Kind: "422", Match: FaultMatch{Path: jitPath}})
	g = b.ask(http.MethodPost, jitPath, jitBody("ep-7", "x"))
	var body struct{ Message string }
	if err := json.Unmarshal(g.body, &body); err != nil || g.status != http.StatusUnprocessableEntity || body.Message != "Runner group 1 has reached max limit of 10000 runners" {
		t.Errorf("%d %s", g.status, g.body)
	}
	if got := b.names(); len(got) != 0 {
		t.Errorf("registered: %v", got)
	}
}

func TestWithdrawnJobSpendsItsRunnerAndGoesToAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		first, _ := b.online("ep-0", "x")
		b.s.WithdrawNext(1)
		id := b.s.AddJobs(JobSpec{Labels: []string{"x"}})[0]
		if m := b.take(first); m.JobID != id {
			t.Fatalf("%+v", m)
		}
		if err := first.Start(t.Context(), id); !errors.Is(err, runnerproto.ErrLost) {
			t.Errorf("the first starts it: %v", err)
		}
		if j := b.job(id); j.Status != "queued" || j.Starts != 0 || j.RunnerName != "" {
			t.Errorf("%+v", j)
		}
		if got := fmt.Sprint(b.names()); got != "[]" {
			t.Errorf("registrations %s", got)
		}
		second, _ := b.online("ep-1", "x")
		if m := b.take(second); m.JobID != id {
			t.Errorf("%+v", m)
		}
		if err := second.Start(t.Context(), id); err != nil {
			t.Error(err)
		}
	})
}

func TestClockIsShownInDatesAndLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		id := b.s.AddJobs(JobSpec{Labels: []string{"x"}})[0]
		look := func() (date, reset, created time.Time) {
			g := b.ask(http.MethodGet, fmt.Sprintf("/repos/NREL/EnergyPlus/actions/jobs/%d", id), nil)
			date, err := http.ParseTime(g.header.Get("Date"))
			if err != nil {
				t.Fatal(err)
			}
			seconds, err := strconv.ParseInt(g.header.Get("X-RateLimit-Reset"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			var job struct {
				CreatedAt time.Time `json:"created_at"`
			}
			if err := json.Unmarshal(g.body, &job); err != nil {
				t.Fatal(err)
			}
			return date, time.Unix(seconds, 0), job.CreatedAt
		}
		date, reset, created := look()
		for _, ahead := range []time.Duration{-3 * time.Minute, time.Hour} {
			b.s.SetClock(ahead)
			d, r, c := look()
			if d.Sub(date) != ahead || r.Sub(reset) != ahead || c.Sub(created) != ahead {
				t.Errorf("%s ahead: the date moved by %s, the reset of the limit by %s, the job's creation by %s", ahead, d.Sub(date), r.Sub(reset), c.Sub(created))
			}
		}
	})
}

func TestStolenJobIsServedByARunnerThatIsNobodys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		b.online("ep-0", "x")
		id := b.s.AddJobs(JobSpec{Labels: []string{"x"}})[0]
		if !b.s.Steal(id, time.Hour) || b.s.Steal(id, time.Hour) {
			t.Fatal("stolen not at all, or twice")
		}
		j := b.job(id)
		if j.Status != "in_progress" || j.RunnerName == "ep-0" || j.Starts != 1 {
			t.Errorf("%+v", j)
		}
		if got := b.names(); fmt.Sprint(got) != "[ep-0 "+j.RunnerName+"]" {
			t.Errorf("%v", got)
		}
		time.Sleep(time.Hour)
		if j := b.job(id); j.Status != "completed" || j.Conclusion != "success" {
			t.Errorf("%+v", j)
		}
		if got := b.names(); fmt.Sprint(got) != "[ep-0]" {
			t.Errorf("%v", got)
		}
	})
}

func TestDroppedRunnerIsToldAndItsJobLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		c, _ := b.online("ep-0", "x")
		id := b.s.AddJobs(JobSpec{Labels: []string{"x"}})[0]
		b.take(c)
		if err := c.Start(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if !b.s.DropRunner("ep-0") || b.s.DropRunner("ep-0") {
			t.Fatal("dropped not at all, or twice")
		}
		if _, err := c.Message(t.Context(), 0); !errors.Is(err, runnerproto.ErrGone) {
			t.Errorf("%v", err)
		}
		time.Sleep(11 * time.Minute)
		if j := b.job(id); j.Conclusion != "failure" {
			t.Errorf("%+v", j)
		}
	})
}

func TestLaggingListShowsWhoWasThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		b.mint("ep-0", "x")
		time.Sleep(time.Minute)
		b.s.SetRunnerLag(30 * time.Second)
		_, id := b.mint("ep-1", "x")
		b.s.DropRunner("ep-0")
		if got := fmt.Sprint(b.names()); got != "[ep-0]" {
			t.Errorf("at once: %s", got)
		}
		b.must(http.StatusOK, http.MethodGet, fmt.Sprintf("%s/%d", runners, id), nil, nil)
		time.Sleep(30 * time.Second)
		if got := fmt.Sprint(b.names()); got != "[ep-1]" {
			t.Errorf("30 s later: %s", got)
		}
	})
}
