package fleet_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

const runnerList = "/repos/*/*/actions/runners"

// TestShortRunnerListsHarmNoJob has GitHub's list of runners miss some or all of them, with status 200.
func TestShortRunnerListsHarmNoJob(t *testing.T) {
	for _, kind := range []string{"partial_list", "empty_list"} {
		short := gh.FaultSpec{Kind: kind, Match: gh.FaultMatch{Path: runnerList, Count: -1}}
		t.Run(kind+"/while jobs run", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.queue(2, 10*time.Minute)
				b.until(10*time.Minute, "both run", func() bool { return count(b, "in_progress") == 2 })
				time.Sleep(20 * time.Second)
				heal := b.armGitHub(short)
				time.Sleep(8 * time.Minute)
				if n := count(b, "in_progress"); n != 2 || len(b.runners()) != 2 {
					t.Errorf("%d jobs on %d VMs, want 2 on 2", n, len(b.runners()))
				}
				b.fired()
				heal()
				b.served(time.Hour)
				b.made(2, 2)
				b.succeeded()
			})
		})
		t.Run(kind+"/while a runner idles", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) { s.gh.AssignDelay = 8 * time.Minute })
				b.queue(2, time.Minute)
				b.until(5*time.Minute, "idle runners", func() bool { return len(b.gh.Runners()) == 2 && b.online() })
				time.Sleep(20 * time.Second)
				heal := b.armGitHub(short)
				time.Sleep(6 * time.Minute)
				b.fired()
				heal()
				b.served(time.Hour)
				b.made(2, 2) // a look-up by id found them: none was given up, and none made in its stead
				b.succeeded()
			})
		})
		t.Run(kind+"/from the beginning", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) { s.gh.AssignDelay = 4 * time.Minute })
				heal := b.armGitHub(short)
				b.queue(2, 4*time.Minute)
				time.Sleep(7 * time.Minute)
				b.fired()
				heal()
				b.served(time.Hour)
				b.made(2, 2)
				b.succeeded()
			})
		})
	}
}

// firstIs makes the first machine a troubled one.
func firstIs(trouble world.Behaviour, change func(*setup)) func(*setup) {
	var made atomic.Int32
	return func(s *setup) {
		s.guests.Behave = func(pve.Machine) world.Behaviour {
			if made.Add(1) == 1 {
				return trouble
			}
			return world.Normal
		}
		if change != nil {
			change(s)
		}
	}
}

// TestBusyRegistrationOfADeadVMHoldsUpNobody: GitHub takes a runner for busy for a quarter of an hour after its VM died.
func TestBusyRegistrationOfADeadVMHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, firstIs(world.DiesInJob, func(s *setup) {
			s.gh.Lease = 15 * time.Minute
			s.spec.MaxRunners = 1
		}))
		b.queue(2, 2*time.Minute)
		b.until(15*time.Minute, "the other job done", func() bool { return count(b, "completed") == 1 })
		dead := b.gh.Runners()[0]
		if !dead.Busy || !dead.RemovedAt.IsZero() {
			t.Fatalf("GitHub has let go of the dead runner already: %+v", dead)
		}
		refused := b.asked(http.MethodDelete, "/repos/*/*/actions/runners/*")
		if refused == 0 {
			t.Error("nobody asked GitHub to remove the dead runner")
		}
		b.served(time.Hour)
		b.made(2, 2)
		if n := b.asked(http.MethodDelete, "/repos/*/*/actions/runners/*"); n > 40 {
			t.Errorf("GitHub was asked %d times to remove one runner", n)
		}
		if j := b.gh.Jobs(); j[0].Conclusion != "failure" || j[1].Conclusion != "success" {
			t.Errorf("jobs %+v", j)
		}
	})
}

// twice sends the first request of a kind a second time, as a proxy does that lost the first reply, and gives the
// second reply.
type twice struct {
	next http.RoundTripper
	path string
	sent atomic.Int32
	got  atomic.Int32 // the second reply's status
}

func (d *twice) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(req.URL.Path, d.path) || d.sent.Add(1) != 1 {
		return d.next.RoundTrip(req)
	}
	again := req.Clone(req.Context())
	var err error
	if again.Body, err = req.GetBody(); err != nil {
		return nil, err
	}
	res, err := d.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	_ = res.Body.Close()
	res, err = d.next.RoundTrip(again)
	if err == nil {
		d.got.Store(int32(res.StatusCode))
	}
	return res, err
}

// TestNameConflictAfterALostIdentityCostsItsVM: something between us and GitHub repeats the request, and GitHub says
// that the name is taken. Nobody has the identity then.
func TestNameConflictAfterALostIdentityCostsItsVM(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		proxy := &twice{next: b.gh.RoundTripper(), path: "/generate-jitconfig"}
		b.through(proxy)
		oneJob(b)
		if proxy.got.Load() != http.StatusConflict {
			t.Fatalf("the repeated request was answered with %d, want 409", proxy.got.Load())
		}
		b.made(2, 2)
		b.succeeded()
		if lost := b.gh.Runners()[0]; len(lost.Jobs) != 0 || lost.RemovedWhy != "removed by mayfly-dispatcher" {
			t.Errorf("the registration that nobody has the identity of: %+v", lost)
		}
	})
}

// TestSecondaryLimitIsSatOutInSilence: no request goes out before the time that GitHub named, or a minute without one
// ("Handle rate limit errors appropriately"), and the VM that waits for its identity is kept.
func TestSecondaryLimitIsSatOutInSilence(t *testing.T) {
	for _, kind := range []string{"403_secondary", "429"} {
		for _, seconds := range []int{0, 150} {
			for where, match := range map[string]gh.FaultMatch{
				"identity":  {Method: http.MethodPost, Path: "**/generate-jitconfig"},
				"runners":   {Method: http.MethodGet, Path: runnerList, Nth: 3},
				"job lists": {Method: http.MethodGet, Path: "/repos/*/*/actions/runs", Nth: 9},
			} {
				t.Run(fmt.Sprintf("%s/Retry-After=%d/%s", kind, seconds, where), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						b := newBench(t, nil)
						b.armGitHub(gh.FaultSpec{Kind: kind, RetryAfter: seconds, Match: match})
						b.queue(1, 2*time.Minute)
						b.served(time.Hour)
						b.fired()
						b.made(1, 1)
						b.succeeded()
						b.silent(max(time.Minute, time.Duration(seconds)*time.Second))
					})
				})
			}
		}
	}
}

// silent demands that the controller sent GitHub nothing for that long after it was told of a limit.
func (b *bench) silent(pause time.Duration) {
	b.t.Helper()
	var told time.Time
	for _, r := range b.gh.State().Requests {
		switch {
		case r.Fault != "":
			told = r.At
		case r.Login == "mayfly-dispatcher" && r.At.After(told) && r.At.Before(told.Add(pause)):
			b.t.Errorf("%s %s went out %s after GitHub had asked for a pause of %s", r.Method, r.Path, r.At.Sub(told), pause)
		}
	}
}

// TestAnHourOfServerErrorsLosesNothing: jobs that run are left alone, those that wait are served afterwards.
func TestAnHourOfServerErrorsLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			s.spec.MaxRunners = 2
			s.spec.Timing.Supply = 10 * time.Second // an hour is long
		})
		b.queue(1, 65*time.Minute)
		b.queue(1, 5*time.Minute)
		b.until(10*time.Minute, "both run", func() bool { return count(b, "in_progress") == 2 })
		b.queue(2, time.Minute)
		time.Sleep(20 * time.Second) // they are known
		for _, kind := range []string{"500", "502", "503"} {
			heal := b.armGitHub(gh.FaultSpec{Kind: kind, Match: gh.FaultMatch{Path: "/repos/**", Count: -1}})
			time.Sleep(20 * time.Minute)
			if s := b.controller.Status(); s.Ready || s.GitHub.OK {
				t.Errorf("ready after 20 minutes of %s: %+v", kind, s)
			}
			b.fired()
			if count(b, "in_progress") != 1 {
				t.Errorf("the job doesn't run any more after 20 minutes of %s", kind)
			}
			if n := len(b.runners()); n != 1 {
				t.Errorf("%d VMs after 20 minutes of %s, want the busy one: nobody knows what is still wanted", n, kind)
			}
			heal()
		}
		b.logged("github unreachable")
		b.served(time.Hour)
		b.succeeded()
		for _, r := range b.gh.Runners() {
			if len(r.Jobs) != 1 {
				t.Errorf("registration without a job: %+v", r)
			}
		}
	})
}

// stale answers job lists from what it saw last while it is frozen, as GitHub's caches do.
type stale struct {
	next   http.RoundTripper
	frozen atomic.Bool

	mu   sync.Mutex
	seen map[string]*recorded
}

func (s *stale) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.Contains(req.URL.Path, "/actions/runs") {
		return s.next.RoundTrip(req)
	}
	key := req.URL.String()
	if s.frozen.Load() {
		s.mu.Lock()
		old := s.seen[key]
		s.mu.Unlock()
		if old != nil {
			return old.response(req), nil
		}
	}
	res, err := s.next.RoundTrip(req)
	if err != nil || res.StatusCode != http.StatusOK {
		return res, err
	}
	r, err := record(res)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.seen[key] = r
	s.mu.Unlock()
	return r.response(req), nil
}

// TestJobThatReadsQueuedThoughItRunsIsServedOnce freezes what GitHub tells of jobs at the moment that the job is
// assigned. A short lag costs nothing; a long one at most one VM, which goes when it was idle for its time.
func TestJobThatReadsQueuedThoughItRunsIsServedOnce(t *testing.T) {
	for lag, vms := range map[time.Duration]int{45 * time.Second: 1, 10 * time.Minute: 2} {
		t.Run(lag.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				cache := &stale{next: b.gh.RoundTripper(), seen: map[string]*recorded{}}
				b.through(cache)
				b.queue(1, 3*time.Minute)
				b.until(5*time.Minute, "an identity was minted", func() bool { return len(b.gh.Runners()) == 1 })
				cache.frozen.Store(true)
				time.Sleep(lag)
				cache.frozen.Store(false)
				b.served(time.Hour)
				b.succeeded()
				n := 0
				for _, v := range b.pve.VMs() {
					if v.Decoy == "" && !v.Template {
						n++
					}
				}
				if n > vms {
					t.Errorf("%d VMs for one job, want at most %d", n, vms)
				}
			})
		})
	}
}

// TestRegistrationThatVanishesWhileIdleIsReplaced: GitHub has dropped runners that were idle for minutes. Their
// listeners end; the job that waits gets another.
func TestRegistrationThatVanishesWhileIdleIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.gh.AssignDelay = 6 * time.Minute })
		b.queue(1, time.Minute)
		b.until(5*time.Minute, "an idle runner", b.online)
		time.Sleep(3 * time.Minute)
		b.dropRegistration(b.gh.Runners()[0].ID)
		b.served(time.Hour)
		b.made(2, 2)
		b.succeeded()
	})
}

// TestGhostIsDestroyedAfterItsConfirmation: the listener is alive in its VM and GitHub knows nothing of it any more, so
// no job will ever reach it (actions/runner#4617).
func TestGhostIsDestroyedAfterItsConfirmation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, firstIs(world.Ghost, func(s *setup) { s.spec.MaxRunners = 1 }))
		first := b.queue(1, time.Minute)
		b.until(5*time.Minute, "the job is assigned", func() bool { return b.gh.Jobs()[0].RunnerID != 0 })
		time.Sleep(20 * time.Second) // the controller has seen it online
		b.gh.CancelJob(first[0])     // GitHub drops the registration and doesn't tell the listener
		b.queue(1, time.Minute)
		time.Sleep(2 * time.Minute)
		if v := b.runners(); len(v) != 1 || v[0].Status != "running" {
			t.Errorf("destroyed on GitHub's word alone: %+v", v)
		}
		b.served(20 * time.Minute)
		b.made(2, 2)
		b.jobsRan()
		b.logged("its registration is gone and no job runs in it")
	})
}

// TestGhostThatNeverStartsItsJobKeepsNoJobForEver: GitHub gives the job to a listener that doesn't start it, takes it
// back after a minute and gives it to the same one again.
func TestGhostThatNeverStartsItsJobKeepsNoJobForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, firstIs(world.Ghost, nil))
		b.queue(1, time.Minute)
		b.served(time.Hour)
		b.succeeded()
		if n := len(b.gh.Runners()); n != 2 {
			t.Errorf("%d registrations, want 2", n)
		}
	})
}

// online reports whether a registration of ours is online.
func (b *bench) online() bool {
	return slices.ContainsFunc(b.gh.Runners(), func(r gh.RunnerState) bool { return r.Online && r.Name != foreign })
}
