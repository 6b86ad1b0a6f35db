package fleet_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
	"mayfly/runners"
)

// refusesOldRunners makes a bench whose GitHub refuses the Actions runner of guests for which old says so.
func refusesOldRunners(s *setup, old func(pve.Machine) bool) {
	s.gh.OldestRunner = "2.329.0"
	s.guests.VersionOf = func(m pve.Machine) string {
		if old(m) {
			return "2.328.0"
		}
		return "2.335.1"
	}
}

// everMade counts the VMs that were ever cloned for runners.
func (b *bench) everMade() int {
	n := 0
	for _, v := range b.pve.VMs() {
		if v.Decoy == "" && !v.Template {
			n++
		}
	}
	return n
}

// TestDeprecatedRunnersStopTheirPool is the day on which GitHub begins to refuse the image's runner: hundreds of jobs
// wait, and no VM is made for them until a new version is promoted.
func TestDeprecatedRunnersStopTheirPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			followsImage(s)
			s.spec.PollInterval = 2 * time.Minute // which many jobs make dear
			refusesOldRunners(s, func(m pve.Machine) bool { return m.Template == 9100 })
		})
		a := b.admin()
		a.build(someImage(9100, "20261124-1200"), "", runner.TagPromoted)
		b.queue(60, time.Minute)
		b.until(5*time.Minute, "the reason is told", func() bool { return b.reason() == fleet.WaitDeprecated })
		const words = "nothing is cloned from image debian-12 version 20261124-1200 (VM 9100): GitHub refuses its Actions runner 2.328.0 as deprecated; run: mayfly image build debian-12"
		b.unready(time.Minute, words)
		time.Sleep(50 * time.Minute)
		if n := b.everMade(); n > b.spec.MaxRunners {
			t.Errorf("%d VMs were made for %d places", n, b.spec.MaxRunners)
		}
		if !b.empty() {
			t.Error("something is left of them")
		}
		before := b.everMade()
		time.Sleep(3 * time.Hour)
		if n := b.everMade() - before; n < 2 || n > 4 {
			t.Errorf("%d runners were tried in about 3 hours, want one an hour", n)
		}

		a.build(someImage(9101, "20261124-1700"), "", runner.TagPromoted)
		b.served(4 * time.Hour)
		b.succeeded()
		if s := b.controller.Status(); !s.Ready {
			t.Errorf("not ready afterwards: %q", s.Reasons)
		}
	})
}

// TestGitHubThatChangesItsMindIsNoticed: the hourly trial gets a job, and the others follow.
func TestGitHubThatChangesItsMindIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var accepted atomic.Bool
		b := newBench(t, func(s *setup) {
			refusesOldRunners(s, func(pve.Machine) bool { return !accepted.Load() })
		})
		b.queue(30, time.Minute)
		b.until(5*time.Minute, "the reason is told", func() bool { return b.reason() == fleet.WaitDeprecated })
		b.logged(`nothing is cloned from template "ubuntu-2204-runner-template" (VM 9000): GitHub refuses its Actions runner 2.328.0 as deprecated; rebuild the template`)
		accepted.Store(true)
		time.Sleep(30 * time.Minute)
		if b.done() {
			t.Error("jobs were served before the trial was due")
		}
		b.served(3 * time.Hour)
		b.succeeded()
		b.logged("template serves again")
	})
}

// TestChangedTemplateIsTriedAtOnce: somebody has mended it in place.
func TestChangedTemplateIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		b := newBench(t, func(s *setup) {
			followsImage(s)
			refusesOldRunners(s, func(pve.Machine) bool { return !mended.Load() })
		})
		a := b.admin()
		a.build(someImage(9100, "20261124-1200"), "", runner.TagPromoted)
		b.queue(20, time.Minute)
		b.until(5*time.Minute, "the reason is told", func() bool { return b.reason() == fleet.WaitDeprecated })
		time.Sleep(5 * time.Minute)
		before := b.everMade()
		a.set(9100, "cores", "3") // which mends nothing
		time.Sleep(10 * time.Minute)
		if n := b.everMade() - before; n != 1 {
			t.Errorf("%d runners were tried of the changed template, want one", n)
		}
		mended.Store(true)
		a.set(9100, "cores", "4")
		b.served(45 * time.Minute)
		b.succeeded()
	})
}

// TestRestartForgetsTheCircuitAndFindsItAgain: the ledger is lost, which costs one more round of clones.
func TestRestartForgetsTheCircuitAndFindsItAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { refusesOldRunners(s, func(pve.Machine) bool { return true }) })
		b.queue(100, time.Minute)
		for range 3 {
			b.until(10*time.Minute, "the reason is told", func() bool { return b.reason() == fleet.WaitDeprecated })
			time.Sleep(10 * time.Minute)
			b.halt()
			b.start("")
			time.Sleep(time.Minute)
		}
		if n := b.everMade(); n > 4*b.spec.MaxRunners {
			t.Errorf("%d VMs were made in 4 lives for %d places", n, b.spec.MaxRunners)
		}
	})
}

// TestUnfitImageFallsBackToTheVersionBefore: what was promoted can't become a runner.
func TestUnfitImageFallsBackToTheVersionBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			followsImage(s)
			s.guests.Behave = func(m pve.Machine) world.Behaviour {
				if m.Template == 9101 {
					return world.Unfit
				}
				return world.Normal
			}
		})
		a := b.admin()
		a.build(someImage(9100, "20261124-1200"), "", runner.TagPromoted)
		a.build(someImage(9101, "20261124-1300"), "", runner.TagPromoted)
		b.queue(30, time.Minute)
		b.served(50 * time.Minute)
		b.succeeded()
		if n := b.clonedFrom(); n[9101] > 2*b.spec.MaxRunners || n[9101] < 2 {
			t.Errorf("runners by template: %v", n)
		}
	})
}

func TestUnfitTemplateIsTriedOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			s.guests.Behave = func(pve.Machine) world.Behaviour { return world.Unfit }
		})
		b.queue(50, time.Minute)
		b.until(10*time.Minute, "the reason is told", func() bool { return b.reason() == fleet.WaitUnfit })
		b.logged(`nothing is cloned from template "ubuntu-2204-runner-template" (VM 9000): its guests can't become runners`)
		before := b.everMade()
		time.Sleep(4 * time.Hour)
		if n := b.everMade() - before; n < 3 || n > 4 {
			t.Errorf("%d runners were made in 4 hours", n)
		}
		if s := b.controller.Status(); s.Ready || !strings.Contains(strings.Join(s.Reasons, " "), "its guests can't become runners") {
			t.Errorf("ready %v, reasons %q", s.Ready, s.Reasons)
		}
	})
}

// TestUncloneableVersionFallsBackToTheOneBefore: its base is gone, though Proxmox lists the template.
func TestUncloneableVersionFallsBackToTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, followsImage)
		a := b.admin()
		a.build(someImage(9100, "20261124-1200"), "", runner.TagPromoted)
		a.build(someImage(9101, "20261124-1300"), "", runner.TagPromoted)
		b.arm(pve.FaultSpec{
			Match: pve.FaultMatch{Method: "POST", Path: "/nodes/pve1/qemu/9101/clone", Count: -1},
			Kind:  "answer", Status: 500, Reason: "no such logical volume pve/base-9101-disk-0",
		})
		b.queue(10, time.Minute)
		b.served(30 * time.Minute)
		b.succeeded()
		if n := b.clonedFrom(); n[9100] != 10 {
			t.Errorf("runners by template: %v", n)
		}
	})
}

// TestRunnersThatEndWithoutAJobSlowTheirPool: nothing says that the template is at fault, so the pool waits longer and
// longer, although each runner gets as far as its identity.
func TestRunnersThatEndWithoutAJobSlowTheirPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var well atomic.Bool
		b := newBench(t, func(s *setup) {
			s.guests.Behave = func(pve.Machine) world.Behaviour {
				if well.Load() {
					return world.Normal
				}
				return world.GivesUp
			}
		})
		b.queue(50, time.Minute)
		b.until(20*time.Minute, "the reason is told", func() bool { return b.reason() == fleet.WaitBackoff })
		time.Sleep(time.Hour)
		before := b.everMade()
		time.Sleep(time.Hour)
		if n := b.everMade() - before; n > 12 {
			t.Errorf("%d runners were made in the second hour", n)
		}
		b.logged("ended without a job (infrastructure, exit code 1)")
		well.Store(true)
		b.served(3 * time.Hour)
	})
}

// TestDeprecatedRunnersAreFoundByAnyHandOff: one whose identity was there before it started is asked when it should be
// up. Where the agent is off nobody can be asked, and the pool slows down.
func TestDeprecatedRunnersAreFoundByAnyHandOff(t *testing.T) {
	for _, tc := range []struct {
		name     string
		agentOff bool
		code     fleet.Code
		most     int // VMs in the second hour
	}{
		{"agent on", false, fleet.WaitDeprecated, 2},
		{"agent off", true, fleet.WaitBackoff, 12},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := byISO(t, "UploadAndDelete", runners.UserDataTemplate, func(s *setup) {
					s.spec.MaxRunners = 4
					s.pve.TemplateAgentOff = tc.agentOff
					refusesOldRunners(s, func(pve.Machine) bool { return true })
				})
				b.queue(20, time.Minute)
				b.until(20*time.Minute, "the reason is told", func() bool {
					for _, w := range b.controller.Status().Waiting {
						if w.Reason.Code == tc.code {
							return true
						}
					}
					return false
				})
				time.Sleep(time.Hour)
				from := b.everMade()
				time.Sleep(time.Hour)
				if n := b.everMade() - from; n > tc.most {
					t.Errorf("%d VMs were made in the second hour, want %d at most", n, tc.most)
				}
			})
		})
	}
}
