package fleet_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// warm gives the bench's pool warm runners.
func warm(idle, spares int) func(*setup) {
	return func(s *setup) {
		p := &s.spec.Pools[0]
		p.MinIdle, p.BootedSpares, p.TimeZone, p.SpareMaxAge = idle, spares, "UTC", 24*time.Hour
	}
}

// now counts the first pool's warm runners.
func (b *bench) now() fleet.WarmStatus {
	for _, w := range b.controller.Status().Warm {
		if w.Pool == b.spec.Pools[0].Name {
			return w
		}
	}
	return fleet.WarmStatus{}
}

func (b *bench) isWarm(idle, spares int) func() bool {
	return func() bool {
		w := b.now()
		return w.Idle == idle && w.Spares == spares && len(b.controller.Status().Runners) == idle+spares
	}
}

// able counts the runners that a job could be on within seconds, one that gets its identity just now among them.
func (b *bench) able() int {
	n := 0
	for _, r := range b.controller.Status().Runners {
		if r.Spare || r.State == runner.Idle || r.State == runner.Registering {
			n++
		}
	}
	return n
}

// drained ends the story of a fleet that keeps warm runners: they go, and then what must always hold is checked.
func (b *bench) drained(limit time.Duration) {
	b.t.Helper()
	b.until(limit, "all jobs done", b.done)
	b.controller.Drain()
	b.until(30*time.Minute, "nothing left", b.empty)
	b.check()
	for _, j := range b.gh.Jobs() {
		if j.Conclusion != "success" {
			b.t.Errorf("job %d ended as %s: %s", j.ID, j.Conclusion, j.Reason)
		}
	}
}

// started is how long the first job was queued.
func (b *bench) started() time.Duration {
	b.t.Helper()
	b.until(10*time.Minute, "the job runs", func() bool { return !b.job().StartedAt.IsZero() })
	return b.job().StartedAt.Sub(b.job().CreatedAt)
}

// TestWarmRunnersSpareAJobTheBoot compares the time from queued to started: cold, on a booted spare, on an idle runner.
func TestWarmRunnersSpareAJobTheBoot(t *testing.T) {
	took := map[string]time.Duration{}
	for _, tc := range []struct {
		name         string
		idle, spares int
	}{{"cold", 0, 0}, {"spare", 0, 2}, {"idle", 2, 0}, {"both", 1, 1}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) {
					warm(tc.idle, tc.spares)(s)
					s.spec.PollInterval = 2 * time.Second // so that it matters little when the job comes
				})
				b.until(5*time.Minute, "warm", b.isWarm(tc.idle, tc.spares))
				time.Sleep(20 * time.Minute)
				if !b.isWarm(tc.idle, tc.spares)() {
					t.Fatalf("later: %+v", b.now())
				}
				made := b.everMade()
				if made != tc.idle+tc.spares {
					t.Errorf("%d VMs were made for %d warm runners", made, tc.idle+tc.spares)
				}
				b.queue(1, 10*time.Minute)
				took[tc.name] = b.started()
				b.until(5*time.Minute, "another takes its place", func() bool { return b.everMade() == made+1 && b.able() == made })
				b.drained(time.Hour)
			})
		})
	}
	t.Logf("from queued to started: %v", took)
	if took["spare"] > 10*time.Second || took["idle"] > 5*time.Second || took["both"] > 5*time.Second {
		t.Errorf("from queued to started: %v", took)
	}
	if took["cold"] < took["spare"]+12*time.Second {
		t.Errorf("a cold start took %s, one on a spare %s: the boot of 12s was not spared", took["cold"], took["spare"])
	}
}

// TestSparesHaveNoRegistration: what waits without an identity costs GitHub nothing and holds no secret.
func TestSparesHaveNoRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, warm(1, 3))
		b.until(10*time.Minute, "warm", b.isWarm(1, 3))
		time.Sleep(time.Hour)
		if n := len(b.gh.Runners()); n != 1 {
			t.Errorf("%d registrations, want that of the idle runner", n)
		}
		b.drained(time.Hour)
	})
}

// TestScheduleSwitchesTheNumberOfWarmRunners: at one they come, at two they go after idle_timeout, and a job that
// comes in between still gets one.
func TestScheduleSwitchesTheNumberOfWarmRunners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { // it begins on a Tuesday at noon
			warm(0, 0)(s)
			p := &s.spec.Pools[0]
			p.MinIdleSchedule = []string{"* 13 * * mon-fri = 2"}
			p.BootedSparesSchedule = []string{"* 13 * * mon-fri = 1"}
		})
		time.Sleep(59 * time.Minute)
		if b.everMade() != 0 {
			t.Fatalf("%d VMs were made before their time", b.everMade())
		}
		b.until(5*time.Minute, "by day", b.isWarm(2, 1))
		time.Sleep(time.Until(time.Date(2026, 11, 24, 14, 5, 0, 0, time.UTC)))
		if !b.isWarm(2, 1)() {
			t.Errorf("they went at once: %+v", b.now())
		}
		b.queue(1, time.Minute)
		if took := b.started(); took > 5*time.Second {
			t.Errorf("the job waited %s though there was a surplus runner", took)
		}
		b.until(30*time.Minute, "by night", b.isWarm(0, 0))
		if took := time.Since(time.Date(2026, 11, 24, 14, 0, 0, 0, time.UTC)); took < 10*time.Minute {
			t.Errorf("the last went %s after the switch, before idle_timeout", took)
		}
		made := b.everMade()
		time.Sleep(4 * time.Hour)
		if b.everMade() != made {
			t.Errorf("VMs were made by night: %d, then %d", made, b.everMade())
		}
		b.drained(time.Hour)
	})
}

// TestJobsHaveRoomBeforeSpares: where all places are taken, a job of another pool gets that of a spare.
func TestJobsHaveRoomBeforeSpares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			warm(1, 2)(s)
			s.spec.MaxRunners = 3
			other := s.spec.Pools[0]
			other.Name, other.Labels, other.MinIdle, other.BootedSpares = "gpu", []string{"gpu"}, 0, 0
			other.Memory = 4 << 30
			s.spec.Pools = append(s.spec.Pools, other)
		})
		b.until(5*time.Minute, "warm", b.isWarm(1, 2))
		b.gh.AddJobs(gh.JobSpec{Count: 2, Labels: []string{"self-hosted", "gpu"}, Duration: 20 * time.Minute})
		b.until(5*time.Minute, "both run", func() bool { return count(b, "in_progress") == 2 })
		if most := b.mostAtOnce(); most > 3 {
			t.Errorf("%d VMs at once, want up to 3", most)
		}
		if w := b.now(); w.Idle != 1 {
			t.Errorf("the idle runner went though spares were there: %+v", w)
		}
		b.until(time.Hour, "warm again", b.isWarm(1, 2))
		b.drained(time.Hour)
	})
}

// TestOldSparesAreReplacedOneByOne: never fewer than wanted, and not all at once.
func TestOldSparesAreReplacedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			warm(1, 3)(s)
			s.spec.Pools[0].SpareMaxAge = 40 * time.Minute
		})
		b.until(10*time.Minute, "warm", b.isWarm(1, 3))
		for end := time.Now().Add(2 * time.Hour); time.Now().Before(end); time.Sleep(time.Second) {
			if b.able() < 4 {
				t.Fatalf("%s: only %+v", time.Now(), b.controller.Status().Runners)
			}
		}
		if made := b.everMade(); made < 4*3 || made > 4*6 {
			t.Errorf("%d VMs were made in 2 hours for 4 places of at most 40 minutes each", made)
		}
		for _, v := range b.runners() {
			if age := time.Since(v.CreatedAt); age > 50*time.Minute {
				t.Errorf("VM %d is %s old", v.VMID, age)
			}
		}
		b.drained(time.Hour)
	})
}

// TestRestartFindsWarmRunners: a crash at any moment keeps spares and idle runners, and none is made twice.
func TestRestartFindsWarmRunners(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) {
					warm(1, 2)(s)
					s.guests.Seed, s.pve.Seed, s.gh.Seed = seed, seed, seed
				})
				b.until(10*time.Minute, "warm", b.isWarm(1, 2))
				for range 5 {
					b.halt()
					time.Sleep(5 * time.Second)
					b.start("")
					time.Sleep(2 * time.Minute)
				}
				if made := b.everMade(); made != 3 || !b.isWarm(1, 2)() {
					t.Errorf("five restarts in peace: %d VMs were made, and now %+v", made, b.now())
				}
				random := rand.New(rand.NewPCG(seed, 2))
				b.queue(10, 2*time.Minute)
				for range 15 {
					time.Sleep(time.Duration(random.Int64N(int64(20 * time.Second))))
					b.halt()
					time.Sleep(time.Duration(random.Int64N(int64(5 * time.Second))))
					b.start("")
				}
				b.until(2*time.Hour, "all jobs done", b.done)
				b.until(time.Hour, "warm again", b.isWarm(1, 2))
				b.drained(time.Hour)
			})
		})
	}
}

// TestTemplateReplacedWhileWarm: spares of the old version go one by one when new ones are up, and the job on the old
// one ends well.
func TestTemplateReplacedWhileWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			followsImage(s)
			warm(1, 2)(s)
		})
		a := b.admin()
		a.build(someImage(9100, "20261124-1200"), "pve1", "mayfly-promoted")
		b.until(10*time.Minute, "warm", b.isWarm(1, 2))
		b.queue(1, 30*time.Minute)
		b.started()
		b.until(10*time.Minute, "warm beside the job", func() bool { return b.everMade() == 4 && b.able() == 3 })
		a.build(someImage(9101, "20261124-1300"), "pve1", "mayfly-promoted")
		news := func() bool {
			for _, r := range b.controller.Status().Runners {
				if r.State != "busy" && r.Template != 9101 {
					return false
				}
			}
			w := b.now()
			return w.Idle == 1 && w.Spares == 2
		}
		for deadline := time.Now().Add(20 * time.Minute); !news(); time.Sleep(time.Second) {
			if b.able() < 3 {
				t.Fatalf("too many went at once: %+v", b.controller.Status().Runners)
			}
			if time.Now().After(deadline) {
				t.Fatalf("old ones are still there: %+v", b.controller.Status().Runners)
			}
		}
		if b.job().Status != "in_progress" {
			t.Errorf("the job on a VM of the old template: %+v", b.job())
		}
		b.drained(2 * time.Hour)
	})
}

// TestSurplusRunnerThatAJobHasJustTakenStays: GitHub refuses to remove it, and that is the last word.
func TestSurplusRunnerThatAJobHasJustTakenStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			warm(0, 0)(s)
			p := &s.spec.Pools[0]
			p.MinIdleSchedule, p.IdleTimeout = []string{"0-30 12 * * * = 3"}, time.Minute
		})
		b.until(10*time.Minute, "warm", b.isWarm(3, 0))
		time.Sleep(time.Until(time.Date(2026, 11, 24, 12, 31, 0, 0, time.UTC)))
		// The jobs come while the removals are on their way.
		release := b.arm(pve.FaultSpec{Kind: "delay", Match: pve.FaultMatch{Method: "GET", Path: "/nodes/*/qemu/*/config", Count: -1}, DelayMS: 3000})
		defer release()
		for !strings.Contains(b.log.String(), "runner ends") {
			time.Sleep(100 * time.Millisecond)
			if time.Now().After(time.Date(2026, 11, 24, 12, 50, 0, 0, time.UTC)) {
				t.Fatal("no surplus runner was about to go")
			}
		}
		b.queue(3, 5*time.Minute)
		b.drained(time.Hour)
		b.logged("runner kept")
	})
}
