package gh

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/runnerproto"
)

func TestJobIsServedByOneJITRunnerAndTheRegistrationGoes(t *testing.T) {
	t.Run("over TCP", func(t *testing.T) { wholeLife(t, overListener(t, Options{Seed: 3})) })
	t.Run("in virtual time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { wholeLife(t, inProcess(t, Options{Seed: 3})) })
	})
}

func wholeLife(t *testing.T, b *bench) {
	ctx := t.Context()
	id := b.s.AddJobs(JobSpec{
		Labels: []string{"self-hosted", "LINUX"}, Steps: []StepSpec{{Run: "echo hello"}}, Duration: time.Second, Env: map[string]string{"A": "b"},
	})[0]
	jobPath := fmt.Sprintf("/api/v3/repos/NREL/EnergyPlus/actions/jobs/%d", id)
	var j struct {
		Status, Conclusion string
		RunnerID           *int64 `json:"runner_id"`
		RunnerName         string `json:"runner_name"`
		Steps              []struct{ Name, Conclusion string }
	}
	b.must(http.StatusOK, http.MethodGet, jobPath, nil, &j)
	if j.Status != "queued" || j.RunnerID != nil {
		t.Errorf("new job: %+v", j)
	}
	c, runner := b.mint("ep-1", "self-hosted", "Linux", "x64")
	var r runnerJSON
	path := fmt.Sprintf("%s/%d", runners, runner)
	b.must(http.StatusOK, http.MethodGet, path, nil, &r)
	if r.Status != "offline" || r.Busy || r.Version != "" || r.OS != "unknown" || !r.Ephemeral {
		t.Errorf("runner before its session: %+v", r)
	}
	if err := c.Open(ctx, "host", "2.336.0"); err != nil {
		t.Fatal(err)
	}
	m := b.take(c)
	if m.JobID != id || m.Type != runnerproto.JobRequest || m.Repository != "NREL/EnergyPlus" || m.Env["A"] != "b" ||
		len(m.Steps) != 1 || m.Steps[0].Run != "echo hello" || m.Duration() != time.Second {
		t.Errorf("message %+v", m)
	}
	if err := c.Start(ctx, id); err != nil {
		t.Fatal(err)
	}
	b.must(http.StatusOK, http.MethodGet, path, nil, &r)
	if r.Status != "online" || !r.Busy || r.Version != "2.336.0" || r.OS != "Linux" {
		t.Errorf("runner with a job: %+v", r)
	}
	if g := b.ask(http.MethodDelete, path, nil); g.status != http.StatusUnprocessableEntity || !strings.Contains(string(g.body), "still running a job") {
		t.Errorf("removal of a busy runner: %d %s", g.status, g.body)
	}
	if lease, err := c.Renew(ctx, id); err != nil || lease.Cancelled || lease.LockedUntil.Before(time.Now()) {
		t.Errorf("lease %+v, %v", lease, err)
	}
	for _, call := range []func() error{
		func() error { return c.Log(ctx, id, "hello\n") },
		func() error { return c.Complete(ctx, id, runnerproto.Succeeded) },
		func() error { return c.Complete(ctx, id, runnerproto.Succeeded) }, // the reply may have been lost
		func() error { return c.Close(ctx) },
	} {
		if err := call(); err != nil {
			t.Error(err)
		}
	}
	b.must(http.StatusOK, http.MethodGet, jobPath, nil, &j)
	if j.Status != "completed" || j.Conclusion != "success" || j.RunnerName != "ep-1" || *j.RunnerID != runner || len(j.Steps) != 3 {
		t.Errorf("served job: %+v", j)
	}
	b.must(http.StatusNotFound, http.MethodGet, path, nil, nil)
	b.must(http.StatusNotFound, http.MethodDelete, path, nil, nil)
	if err := c.Open(ctx, "host", "2.336.0"); !errors.Is(err, runnerproto.ErrGone) {
		t.Errorf("a used identity opens a session: %v", err)
	}
	if s := b.job(id); s.Starts != 1 || s.Assigned != 1 || s.Log != "hello\n" {
		t.Errorf("state %+v", s)
	}
	if s := b.runner(runner); s.RemovedWhy != "job completed" || len(s.Jobs) != 1 || s.Jobs[0] != id {
		t.Errorf("state %+v", s)
	}
}

func TestHeldPollGetsAJobTheMomentItIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		c, _ := b.online("ep-1", "self-hosted")
		begun := time.Now()
		if m, err := c.Message(t.Context(), 0); m != nil || err != nil {
			t.Fatalf("a message from an empty queue: %v, %v", m, err)
		}
		if held := time.Since(begun); held != runnerproto.MaxPoll {
			t.Errorf("held for %s", held)
		}
		time.AfterFunc(7*time.Second, func() { b.s.AddJobs(JobSpec{}) })
		begun = time.Now()
		b.take(c)
		if held := time.Since(begun); held != 7*time.Second {
			t.Errorf("held for %s", held)
		}
	})
}

func TestJobNotPickedUpInAMinuteGoesToAnotherRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		id := b.s.AddJobs(JobSpec{})[0]
		slow, slowID := b.online("ep-slow", "self-hosted")
		b.take(slow)
		time.Sleep(time.Minute - time.Nanosecond)
		if j := b.job(id); j.RunnerID != slowID || j.Status != "queued" {
			t.Fatalf("before the minute is over: %+v", j)
		}
		time.Sleep(time.Nanosecond)
		if j := b.job(id); j.RunnerID != 0 || j.Status != "queued" {
			t.Fatalf("after a minute: %+v", j)
		}
		quick, quickID := b.online("ep-quick", "self-hosted")
		b.take(quick)
		if err := slow.Start(t.Context(), id); !errors.Is(err, runnerproto.ErrLost) {
			t.Errorf("start by the slow one: %v", err)
		}
		if err := quick.Start(t.Context(), id); err != nil {
			t.Error(err)
		}
		if j := b.job(id); j.RunnerID != quickID || j.Starts != 1 || j.Assigned != 2 {
			t.Errorf("%+v", j)
		}
		// The slow one's registration is used up, and nobody tells its listener (actions/runner#4617).
		b.must(http.StatusNotFound, http.MethodGet, fmt.Sprintf("%s/%d", runners, slowID), nil, nil)
		if m, err := slow.Message(t.Context(), time.Second); m != nil || err != nil {
			t.Errorf("the ghost hears %v, %v", m, err)
		}
	})
}

func TestSilentRunnerLosesItsJobAfterTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		id := b.s.AddJobs(JobSpec{})[0]
		c, runner := b.online("ep-1", "self-hosted")
		b.take(c)
		if err := c.Start(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Minute)
		if _, err := c.Renew(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Minute - time.Second)
		if j := b.job(id); j.Status != "in_progress" {
			t.Fatalf("%+v", j)
		}
		if r := b.runner(runner); !r.Busy || r.Online {
			t.Errorf("a silent runner with a job: %+v", r)
		}
		time.Sleep(time.Second)
		if j := b.job(id); j.Conclusion != "failure" || !strings.Contains(j.Reason, "lost communication") {
			t.Errorf("%+v", j)
		}
		if _, err := c.Renew(t.Context(), id); !errors.Is(err, runnerproto.ErrLost) {
			t.Errorf("renewal of a lost job: %v", err)
		}
		if err := c.Complete(t.Context(), id, runnerproto.Succeeded); !errors.Is(err, runnerproto.ErrLost) {
			t.Errorf("completion of a lost job: %v", err)
		}
		if b.runner(runner).RemovedAt.IsZero() {
			t.Error("the registration outlives its job")
		}
	})
}

func TestCancellationReachesTheRunnerByMessageAndLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		id := b.s.AddJobs(JobSpec{})[0]
		c, _ := b.online("ep-1", "self-hosted")
		run := b.take(c).RunID
		if err := c.Start(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(3*time.Second, func() {
			b.must(http.StatusAccepted, http.MethodPost, fmt.Sprintf("/repos/NREL/EnergyPlus/actions/runs/%d/cancel", run), nil, nil)
		})
		m := b.take(c)
		if m.Type != runnerproto.JobCancellation || m.JobID != id {
			t.Fatalf("%+v", m)
		}
		if lease, err := c.Renew(t.Context(), id); err != nil || !lease.Cancelled {
			t.Errorf("%+v, %v", lease, err)
		}
		if err := c.Complete(t.Context(), id, runnerproto.Cancelled); err != nil {
			t.Error(err)
		}
		if j := b.job(id); j.Conclusion != "cancelled" || j.Reason != "" {
			t.Errorf("%+v", j)
		}
	})
}

func TestRunnerThatIgnoresACancellationLosesTheJobAfterFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		id := b.s.AddJobs(JobSpec{})[0]
		c, _ := b.online("ep-1", "self-hosted")
		b.take(c)
		if err := c.Start(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		b.s.CancelJob(id)
		time.Sleep(5 * time.Minute)
		if j := b.job(id); j.Conclusion != "cancelled" || j.Reason == "" {
			t.Errorf("%+v", j)
		}
	})
}

func TestJobCancelledBeforeItsStartHasNoRunner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		id := b.s.AddJobs(JobSpec{})[0]
		b.s.CancelJob(id)
		var j jobJSON
		b.must(http.StatusOK, http.MethodGet, fmt.Sprintf("/repos/NREL/EnergyPlus/actions/jobs/%d", id), nil, &struct {
			RunnerID   **int64  `json:"runner_id"`
			RunnerName **string `json:"runner_name"`
		}{&j.RunnerID, &j.RunnerName})
		if j.RunnerID == nil || *j.RunnerID != 0 || j.RunnerName == nil || *j.RunnerName != "" {
			t.Errorf("runner_id %v, runner_name %v: GitHub has 0 and an empty name (actions/runner#4684)", j.RunnerID, j.RunnerName)
		}
	})
}

func TestRemovalEndsAHeldPollAndQueuesAnUnstartedJobAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		c, runner := b.online("ep-1", "self-hosted")
		time.AfterFunc(5*time.Second, func() {
			b.must(http.StatusNoContent, http.MethodDelete, fmt.Sprintf("%s/%d", runners, runner), nil, nil)
		})
		if _, err := c.Message(t.Context(), 0); !errors.Is(err, runnerproto.ErrGone) {
			t.Errorf("poll of a removed runner: %v", err)
		}
		id := b.s.AddJobs(JobSpec{})[0]
		c, runner = b.online("ep-2", "self-hosted")
		b.take(c)
		b.must(http.StatusNoContent, http.MethodDelete, fmt.Sprintf("%s/%d", runners, runner), nil, nil)
		if j := b.job(id); j.Status != "queued" || j.RunnerID != 0 {
			t.Errorf("%+v", j)
		}
		if err := c.Start(t.Context(), id); !errors.Is(err, runnerproto.ErrLost) {
			t.Errorf("start after the removal: %v", err)
		}
	})
}

func TestOneSessionAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{OldestRunner: "2.329.0"})
		c, id := b.mint("ep-1", "self-hosted")
		if err := c.Open(t.Context(), "a", "2.328.9"); !errors.Is(err, runnerproto.ErrDeprecated) {
			t.Errorf("old runner: %v", err)
		}
		if err := c.Open(t.Context(), "a", "2.329.0"); err != nil {
			t.Fatal(err)
		}
		if err := c.Open(t.Context(), "b", "2.329.0"); !errors.Is(err, runnerproto.ErrConflict) {
			t.Errorf("second session: %v", err)
		}
		time.Sleep(runnerproto.OfflineAfter)
		if b.runner(id).Online {
			t.Error("a silent session is online")
		}
		if err := c.Open(t.Context(), "b", "2.329.0"); err != nil {
			t.Errorf("after the silence: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second) // the client gives up on a held poll
		defer cancel()
		if _, err := c.Message(ctx, 0); !errors.Is(err, runnerproto.ErrUnavailable) {
			t.Errorf("abandoned poll: %v", err)
		}
		if !b.runner(id).Online {
			t.Error("offline the moment that a poll ends")
		}
		if err := c.Close(t.Context()); err != nil || b.runner(id).Online {
			t.Errorf("online after its session was closed (%v)", err)
		}
	})
}

func TestUnusedRegistrationGoesAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{})
		_, id := b.mint("ep-1", "self-hosted")
		time.Sleep(24 * time.Hour)
		if r := b.runner(id); r.RemovedWhy != "never connected" {
			t.Errorf("%+v", r)
		}
	})
}

func TestAssignDelayHoldsAJobBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inProcess(t, Options{AssignDelay: 3 * time.Second})
		c, _ := b.online("ep-1", "self-hosted")
		time.Sleep(10 * time.Second)
		begun := time.Now()
		b.s.AddJobs(JobSpec{})
		b.take(c)
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("assigned after %s", took)
		}
	})
}

func TestOnlyMatchingRunnersGetAJob(t *testing.T) {
	for name, tc := range map[string]struct {
		job, runner []string
		want        bool
	}{
		"subset, any case":         {[]string{"self-hosted", "GPU"}, []string{"Self-Hosted", "gpu", "x64"}, true},
		"one label missing":        {[]string{"self-hosted", "gpu"}, []string{"self-hosted"}, false},
		"self-hosted isn't free":   {[]string{"self-hosted"}, []string{"gpu"}, false},
		"no labels match any":      {[]string{}, []string{"gpu"}, true},
		"a prefix is not the same": {[]string{"gpu"}, []string{"gpu2"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := inProcess(t, Options{})
				b.s.AddJobs(JobSpec{Labels: tc.job})
				c, _ := b.online("ep-1", tc.runner...)
				m, err := c.Message(t.Context(), time.Second)
				if err != nil || (m != nil) != tc.want {
					t.Errorf("message %v, %v", m, err)
				}
			})
		})
	}
}
