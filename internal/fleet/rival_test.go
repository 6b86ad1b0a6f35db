package fleet_test

import (
	"context"
	"flag"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"mayfly/internal/fleet"
)

// life is one process of a dispatcher.
type life struct {
	b     *bench
	c     *fleet.Controller
	stop  context.CancelFunc
	ended chan error
}

// first is the bench's own controller.
func (b *bench) first() *life { return &life{b, b.controller, b.stop, b.ended} }

// second starts a controller beside the one that runs, on the same installation: the mistake.
func (b *bench) second() *life {
	mine := b.first()
	b.start("")
	l := b.first()
	b.controller, b.stop, b.ended = mine.c, mine.stop, mine.ended
	b.t.Cleanup(l.kill)
	return l
}

// kill ends it as a crash does.
func (l *life) kill() {
	l.stop()
	if err := <-l.ended; err != nil {
		l.b.t.Errorf("controller ended with %v", err)
	}
	l.ended <- nil
}

// meets queues jobs until the later process has met the earlier one: at the first runner of that one at the latest.
func (l *life) meets(queue func()) {
	l.b.t.Helper()
	time.Sleep(7 * time.Second) // so that the two don't look at the same instants
	queue()
	l.b.until(3*time.Minute, "the second stands by", l.standsBy)
}

func (l *life) standsBy() bool { return l.c.Status().Standby != "" }

// surplus is how many VMs were made beyond one for each job.
func (b *bench) surplus() int {
	vms := 0
	for _, v := range b.pve.VMs() {
		if v.Decoy == "" && !v.Template {
			vms++
		}
	}
	return vms - len(b.gh.Jobs())
}

// allWell checks that every job was done once and well.
func (b *bench) allWell() {
	b.t.Helper()
	for _, j := range b.gh.Jobs() {
		if j.Conclusion != "success" || j.Starts != 1 {
			b.t.Errorf("job %d: %s after %d starts: %s", j.ID, j.Conclusion, j.Starts, j.Reason)
		}
	}
}

// rivalSurplus bounds what the later process makes until it notices: as many clones as may run at once, and as many
// again, where it takes the earlier one's unused runners for those of an earlier life.
const rivalSurplus = 2 * 4

func TestTwoDispatchersOnOneInstallation(t *testing.T) {
	for _, tc := range []struct {
		name string
		day  func(*bench)
	}{
		{"the second comes while the first is idle", func(b *bench) {
			other := b.second()
			other.meets(func() { b.queue(3, 3*time.Minute) })
			if b.first().standsBy() {
				b.t.Error("both stand by")
			}
			s := other.c.Status()
			if s.Ready || !strings.Contains(strings.Join(s.Reasons, "\n"), "stop one of the two") {
				b.t.Errorf("the second is ready (%v) or doesn't say what to do: %q", s.Ready, s.Reasons)
			}
		}},
		{"the second comes while jobs run and others wait", func(b *bench) {
			b.queue(30, 3*time.Minute)
			time.Sleep(90 * time.Second)
			other := b.second()
			b.until(15*time.Minute, "the second stands by", other.standsBy)
		}},
		{"what waits tells the second's reason", func(b *bench) {
			other := b.second()
			other.meets(func() { b.queue(20, 5*time.Minute) })
			b.until(3*time.Minute, "and says so of the jobs", func() bool {
				for _, w := range other.c.Status().Waiting {
					if w.Reason.Code == fleet.WaitStandby {
						return true
					}
				}
				return false
			})
			if log := b.log.String(); !strings.Contains(log, "msg=standby") {
				b.t.Error("the log doesn't tell")
			}
		}},
		{"the first dies, and the second takes over", func(b *bench) {
			other := b.second()
			other.meets(func() { b.queue(2, 20*time.Minute) })
			b.until(5*time.Minute, "both run", func() bool { return count(b, "in_progress") == 2 })
			b.halt()
			b.queue(2, time.Minute)
			b.until(15*time.Minute, "the second goes on", func() bool { return !other.standsBy() })
			b.until(10*time.Minute, "and serves", func() bool { return count(b, "queued") == 0 })
			b.until(30*time.Minute, "and ends the runners that the first left", b.empty)
		}},
		{"the first is restarted, and the second leads", func(b *bench) {
			other := b.second()
			other.meets(func() { b.queue(2, 3*time.Minute) })
			b.halt()
			time.Sleep(time.Second)
			b.start("")
			b.queue(2, 3*time.Minute)
			b.until(30*time.Minute, "the second goes on", func() bool { return !other.standsBy() })
			for range 5 {
				b.queue(1, time.Minute)
				time.Sleep(5 * time.Minute)
			}
			if other.standsBy() || !b.first().standsBy() {
				b.t.Errorf("the second stands by: %v, the restarted first: %v", other.standsBy(), b.first().standsBy())
			}
		}},
		{"the second is drained while runners of the first work", func(b *bench) {
			other := b.second()
			other.meets(func() { b.queue(3, time.Minute) })
			b.until(8*time.Minute, "those are done, and what was too much is gone", func() bool { return b.done() && b.empty() })
			b.queue(3, 40*time.Minute)
			b.until(5*time.Minute, "all run on the first's", func() bool { return count(b, "in_progress") == 3 })
			other.c.Drain()
			b.until(12*time.Minute, "the second ends", func() bool {
				select {
				case err := <-other.ended:
					other.ended <- err
					return true
				default:
					return false
				}
			})
			if count(b, "in_progress") != 3 {
				b.t.Error("jobs of the first ended with it")
			}
		}},
		{"both begin at once", func(b *bench) {
			b.halt()
			b.start("")
			other := b.second()
			for range 8 { // whoever wins a job may be the later one, which then doesn't know yet
				b.queue(2, time.Minute)
				time.Sleep(130 * time.Second)
				if other.standsBy() != b.first().standsBy() {
					return
				}
			}
			b.t.Error("neither stands by, or both")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) { s.spec.MaxRunners, s.spec.Pools[0].IdleTimeout = 6, 3*time.Minute })
				time.Sleep(time.Minute)
				tc.day(b)
				b.served(4 * time.Hour)
				b.allWell()
				if extra := b.surplus(); extra > rivalSurplus {
					t.Errorf("%d VMs more than jobs, want at most %d", extra, rivalSurplus)
				}
			})
		})
	}
}

// TestARestartIsNoSecondDispatcher starts the dispatcher again in every stage of its runners' lives.
func TestARestartIsNoSecondDispatcher(t *testing.T) {
	fewer(t)
	rapid.Check(t, func(rt *rapid.T) {
		waits := rapid.SliceOfN(rapid.IntRange(0, 90), 1, 4).Draw(rt, "seconds between restarts")
		downs := rapid.SliceOfN(rapid.IntRange(0, 3000), len(waits), len(waits)).Draw(rt, "milliseconds down")
		inBubble(rt, t, func(t *testing.T) {
			b := newBench(t, func(s *setup) { s.spec.MaxRunners = 3 })
			b.queue(5, 2*time.Minute)
			for i, wait := range waits {
				time.Sleep(time.Duration(wait) * time.Second)
				b.halt()
				time.Sleep(time.Duration(downs[i]) * time.Millisecond)
				b.start("")
			}
			b.served(2 * time.Hour)
			b.allWell()
			if log := b.log.String(); strings.Contains(log, "msg=standby") || strings.Contains(log, `msg="second dispatcher"`) {
				t.Error("a restart was taken for a second dispatcher")
			}
		})
	})
}

// TestTwoDispatchersLoseNoJob starts a second dispatcher at any moment, for any time.
func TestTwoDispatchersLoseNoJob(t *testing.T) {
	fewer(t)
	rapid.Check(t, func(rt *rapid.T) {
		offset := time.Duration(rapid.IntRange(0, 240_000).Draw(rt, "milliseconds until the second starts")) * time.Millisecond
		lasting := time.Duration(rapid.IntRange(1, 40).Draw(rt, "minutes that it runs")) * time.Minute
		jobs := rapid.IntRange(1, 12).Draw(rt, "jobs")
		firstDies := rapid.Bool().Draw(rt, "the first ends, not the second")
		inBubble(rt, t, func(t *testing.T) {
			b := newBench(t, func(s *setup) { s.spec.MaxRunners = 4 })
			b.queue(jobs, 4*time.Minute)
			time.Sleep(offset)
			other := b.second()
			time.Sleep(lasting)
			b.queue(2, time.Minute)
			if firstDies {
				b.halt()
			} else {
				other.kill()
			}
			b.served(4 * time.Hour)
			b.allWell()
			if extra := b.surplus(); extra > rivalSurplus {
				t.Errorf("%d VMs more than jobs, want at most %d", extra, rivalSurplus)
			}
			// Each up to its limit, and the one beyond it by which the earlier shows itself.
			if most := b.mostAtOnce(); most > 4+4+1 {
				t.Errorf("%d VMs at once", most)
			}
		})
	})
}

// fewer has rapid draw few cases of a property whose every case is hours of a fleet's life, unless somebody asks for more.
func fewer(t *testing.T) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() != checks.DefValue {
		return
	}
	if err := flag.Set("rapid.checks", "12"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set("rapid.checks", checks.DefValue) })
}

// inBubble runs one case of a property in virtual time; the case fails when its bubble does.
func inBubble(rt *rapid.T, t *testing.T, test func(t *testing.T)) {
	if !t.Run("", func(t *testing.T) { synctest.Test(t, test) }) {
		rt.Fatal("see above")
	}
}

// TestAloneNobodyStandsBy has two controllers of which something else lets one run at a time.
func TestAloneNobodyStandsBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.alone = true
		other := b.second()
		b.queue(4, 2*time.Minute)
		time.Sleep(5 * time.Minute)
		if other.standsBy() || len(other.c.Status().Rivals) > 0 {
			t.Errorf("it minds the other's markers: %+v", other.c.Status().Rivals)
		}
		other.kill()
		b.served(time.Hour)
	})
}
