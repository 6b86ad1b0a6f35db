package fleet_test

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

// listener keeps all that it hears.
type listener struct {
	mu       sync.Mutex
	passages []fleet.Passage
	failures []fleet.Failure
	polls    []fleet.Poll
}

func (l *listener) Passed(p fleet.Passage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passages = append(l.passages, p)
}

func (l *listener) Failed(f fleet.Failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, f)
}

func (l *listener) Polled(p fleet.Poll) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.polls = append(l.polls, p)
}

// heard gives the durations of a stage that ended so.
func (l *listener) heard(s fleet.Stage, r fleet.StageResult) (took []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.passages {
		if p.Stage == s && p.Result == r {
			took = append(took, p.Took)
		}
	}
	return took
}

func (l *listener) sawFailure(s fleet.Stage, c fleet.Cause) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.failures, func(f fleet.Failure) bool { return f.Stage == s && f.Cause == c })
}

func TestEachStageOfALifeIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &listener{}
		b := newBench(t, func(s *setup) { s.observer = l })
		time.Sleep(time.Minute) // the first reading is over
		b.queue(3, 5*time.Minute)
		b.served(20 * time.Minute)
		time.Sleep(time.Minute) // the controller hears of the end, too
		for _, stage := range fleet.Stages() {
			if took := l.heard(stage, fleet.ResultOK); len(took) != 3 {
				t.Errorf("stage %s was passed %d times by 3 jobs: %v", stage, len(took), took)
			}
		}
		for _, want := range []struct {
			stage    fleet.Stage
			min, max time.Duration
		}{
			{fleet.StageSee, 0, b.spec.PollInterval},
			{fleet.StageQueue, 15 * time.Second, 3 * time.Minute},
			{fleet.StageClone, 100 * time.Millisecond, time.Minute},
			{fleet.StageBoot, 8 * time.Second, 40 * time.Second}, // the guests boot in 12 s
			{fleet.StageJob, 4*time.Minute + 30*time.Second, 6 * time.Minute},
			{fleet.StageDestroy, time.Second, 2 * time.Minute},
		} {
			for _, took := range l.heard(want.stage, fleet.ResultOK) {
				if took < want.min || took > want.max {
					t.Errorf("stage %s took %s, want %s to %s", want.stage, took, want.min, want.max)
				}
			}
		}
		if len(l.failures) > 0 {
			t.Errorf("failures %v", l.failures)
		}
		for _, p := range l.passages {
			if p.Pool != "ep" || p.Node == "" && p.Stage != fleet.StageSee {
				t.Errorf("%+v", p)
			}
		}
	})
}

func TestFailuresAreToldByStageAndCause(t *testing.T) {
	for _, tc := range []struct {
		trouble world.Behaviour
		stage   fleet.Stage
		cause   fleet.Cause
	}{
		{world.MuteAgent, fleet.StageBoot, fleet.CauseTimeout},
		{world.NeverRegisters, fleet.StageConnect, fleet.CauseTimeout},
		{world.HangsAfterJob, fleet.StageJob, fleet.CauseUnregistered},
	} {
		t.Run(tc.trouble.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &listener{}
				var made atomic.Int32
				b := newBench(t, func(s *setup) {
					s.observer = l
					s.guests.Behave = func(pve.Machine) world.Behaviour {
						if made.Add(1) == 1 {
							return tc.trouble
						}
						return world.Normal
					}
				})
				b.queue(1, time.Minute)
				b.served(8 * time.Hour)
				time.Sleep(time.Minute) // the controller hears of it, too
				if !l.sawFailure(tc.stage, tc.cause) {
					t.Errorf("want %s %s; failures %v", tc.stage, tc.cause, l.failures)
				}
				if len(l.heard(tc.stage, fleet.ResultFailed)) != 1 {
					t.Errorf("stage %s didn't fail once: %v", tc.stage, l.passages)
				}
			})
		})
	}
}

func TestPollsAreToldGoodAndBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &listener{}
		b := newBench(t, func(s *setup) { s.observer = l })
		time.Sleep(time.Minute)
		b.toGitHub.status.Store(http.StatusBadGateway)
		b.toProxmox.cut.Store(true)
		time.Sleep(5 * time.Minute)
		b.toGitHub.status.Store(0)
		b.toProxmox.cut.Store(false)
		time.Sleep(5 * time.Minute)
		b.halt()
		good, bad := map[string]int{}, map[string]int{}
		for _, p := range l.polls {
			if p.OK {
				good[p.Source+" "+p.Target]++
			} else {
				bad[p.Source+" "+p.Target]++
			}
		}
		for _, source := range []string{"proxmox ", "github NREL/EnergyPlus"} {
			if good[source] < 10 || bad[source] < 2 {
				t.Errorf("%q: %d good polls, %d bad", source, good[source], bad[source])
			}
		}
	})
}

func TestUnusedRunnerIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &listener{}
		b := newBench(t, func(s *setup) { s.observer = l })
		b.queue(1, time.Minute)
		b.until(5*time.Minute, "a runner is on its way", func() bool { return len(b.runners()) > 0 })
		b.gh.CancelJob(b.gh.Jobs()[0].ID)
		b.until(time.Hour, "it is gone", b.empty)
		time.Sleep(time.Minute)
		if len(l.failures) > 0 {
			t.Errorf("failures %v", l.failures)
		}
		if n := len(l.heard(fleet.StageRegister, fleet.ResultUnused)) + len(l.heard(fleet.StageAssign, fleet.ResultUnused)); n != 1 {
			t.Errorf("%d runners unused, want 1: %v", n, l.passages)
		}
	})
}

func TestStatusCountsPoolsAndVMIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.MaxRunners = 2 })
		time.Sleep(time.Minute)
		before := b.controller.Status().Capacity.VMIDsFree
		b.queue(5, 10*time.Minute)
		b.until(5*time.Minute, "two jobs run", func() bool { return count(b, "in_progress") == 2 })
		time.Sleep(30 * time.Second)
		s := b.controller.Status()
		want := fleet.PoolStatus{
			Name: "ep", Target: "NREL/EnergyPlus", Labels: []string{"self-hosted", "energyplus", "linux", "x64"}, Template: "ubuntu-2204-runner-template",
			Max: 8, Runners: 2, Busy: 2, Waiting: 3,
		}
		if len(s.Pools) != 1 || !slices.Equal(s.Pools[0].Labels, want.Labels) {
			t.Fatalf("pools %+v", s.Pools)
		}
		got := s.Pools[0]
		if got.Labels, want.Labels = nil, nil; got.Name != want.Name || got.Target != want.Target || got.Template != want.Template ||
			got.Max != want.Max || got.Runners != want.Runners || got.Busy != want.Busy || got.Idle != want.Idle || got.Waiting != want.Waiting {
			t.Errorf("pool %+v, want %+v", got, want)
		}
		if c := s.Capacity; c.MaxRunners != 2 || c.Runners != 2 || c.VMIDs != 100 || c.VMIDsFree != before-2 {
			t.Errorf("capacity %+v, want %d VMIDs free", c, before-2)
		}
		b.served(time.Hour)
		if resting := b.controller.Status().Capacity.VMIDsFree; resting >= before {
			t.Errorf("%d VMIDs free though some rest, %d before", resting, before)
		}
		time.Sleep(time.Hour)
		if after := b.controller.Status().Capacity.VMIDsFree; after != before {
			t.Errorf("%d VMIDs free an hour later, %d before", after, before)
		}
	})
}
