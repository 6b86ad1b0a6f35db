package fleet_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/sim/pve"
)

// untouched runs for a while and demands that nobody but the administrator touches the VM meanwhile.
func (b *bench) untouched(vmid int, during func()) {
	b.t.Helper()
	before, from := b.vm(vmid), len(b.pve.Requests())
	during()
	now := b.vm(vmid)
	if before.VMID != vmid || fmt.Sprint(now.Config) != fmt.Sprint(before.Config) || now.Pool != before.Pool ||
		len(now.StartedAt) != len(before.StartedAt) || now.CreatedAt != before.CreatedAt {
		b.t.Errorf("VM %d was\n%+v\nis\n%+v", vmid, before, now)
	}
	for _, r := range b.pve.Requests()[from:] {
		if r.VMID == vmid && r.Method != http.MethodGet && r.Token == b.pve.Info().TokenID {
			b.t.Errorf("the controller asked %s %s", r.Method, r.Path)
		}
	}
}

// unclaimed waits until the status shows the VM among those that aren't provably ours, for the reason, and not among
// our runners.
func (b *bench) unclaimed(limit time.Duration, vmid int, why string) {
	b.t.Helper()
	b.until(limit, fmt.Sprintf("VM %d is unclaimed: %s", vmid, why), func() bool {
		s := b.controller.Status()
		for _, r := range s.Runners {
			if r.VMID == vmid {
				return false
			}
		}
		for _, u := range s.Unclaimed {
			if u.VMID == vmid {
				return strings.Contains(u.Why, why)
			}
		}
		return false
	})
}

func TestRunnerMovedOutOfItsResourcePoolIsSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.queue(1, 10*time.Minute)
		v, a := b.busy(), b.admin()
		a.movePool(v.VMID, "")
		b.untouched(v.VMID, func() {
			b.until(time.Minute, "it is set aside", func() bool { return len(b.controller.Status().Quarantine) == 1 })
			q := b.controller.Status().Quarantine[0]
			if q.VMID != v.VMID || !strings.Contains(q.Why, "it was moved out of resource pool ci") {
				t.Errorf("set aside %+v", q)
			}
			b.logged("it was moved out of resource pool ci")
			b.queue(1, time.Minute)
			b.until(30*time.Minute, "both jobs done, the other in a VM of its own", b.done)
			time.Sleep(10 * time.Minute)
		})
		b.succeeded()
		if n := len(b.controller.Status().Runners); n != 0 {
			t.Errorf("%d runners are still counted", n)
		}
		a.movePool(v.VMID, "ci") // the administrator gives it back
		b.until(time.Minute, "it is ours again", func() bool { return len(b.controller.Status().Quarantine) == 0 })
		b.served(10 * time.Minute)
	})
}

// TestRunnerMovedIntoAnotherResourcePoolIsLeftAlone: the token sees it there, and may not take it for ours.
func TestRunnerMovedIntoAnotherResourcePoolIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.queue(1, 10*time.Minute)
		v, a := b.busy(), b.admin()
		a.movePool(v.VMID, "ci-templates")
		b.untouched(v.VMID, func() {
			// Its name is Pool.Audit's to tell, which the token lacks there.
			b.unclaimed(5*time.Minute, v.VMID, `it is in resource pool "", not "ci"`)
			b.logged(`it is in resource pool "", not "ci"`)
			b.until(30*time.Minute, "job done", b.done)
			time.Sleep(20 * time.Minute)
		})
		b.succeeded()
		a.destroy("pve1", v.VMID)
		b.served(10 * time.Minute)
	})
}

func TestHaltedRunnerIsGivenUpWithItsJob(t *testing.T) {
	for _, tc := range []struct {
		status string
		when   string
	}{
		{"io-error", "busy"}, {"io-error", "booting"}, {"paused", "busy"}, {"internal-error", "busy"},
	} {
		t.Run(tc.status+" while "+tc.when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.queue(1, 10*time.Minute)
				var v pve.VMState
				if tc.when == "busy" {
					v = b.busy()
				} else {
					b.until(5*time.Minute, "it boots", func() bool { return len(b.runners()) == 1 && b.runners()[0].Status == "running" })
					v = b.runners()[0]
				}
				if err := b.pve.Halt(t.Context(), v.VMID, tc.status); err != nil {
					t.Fatal(err)
				}
				words := fmt.Sprintf("VM %d as %s", v.VMID, tc.status)
				b.until(time.Minute, "the status says so", func() bool { return strings.Contains(b.reasons(), words) })
				b.unready(5*time.Minute, fmt.Sprintf("VM %d on pve1 has been %s for 2m", v.VMID, tc.status))
				b.until(time.Minute, "it is gone", func() bool { return b.vm(v.VMID).VMID == 0 })
				b.queue(1, time.Minute)
				b.served(time.Hour)
				jobs := b.gh.Jobs()
				if lost := jobs[0].Conclusion == "failure"; lost != (tc.when == "busy") || jobs[1].Conclusion != "success" {
					t.Errorf("jobs %+v", jobs)
				}
			})
		})
	}
}

// TestPauseUnderALockCostsNothing: a backup without agent, or a snapshot, pauses a VM for a while.
func TestPauseUnderALockCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.queue(1, 30*time.Minute)
		v := b.busy()
		if err := b.pve.Halt(t.Context(), v.VMID, "paused"); err != nil {
			t.Fatal(err)
		}
		b.lock(v.VMID, "backup")
		b.untouched(v.VMID, func() { time.Sleep(8 * time.Minute) })
		if s := b.controller.Status(); !s.Ready || len(s.Runners) != 1 {
			t.Errorf("ready %v, runners %+v", s.Ready, s.Runners)
		}
		b.lock(v.VMID, "")
		b.served(time.Hour)
	})
}

// TestMigratedRunnerIsFollowed moves a runner at three times of its life.
func TestMigratedRunnerIsFollowed(t *testing.T) {
	for _, when := range []string{"booting", "busy", "powered off"} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) { s.pve.Nodes = []string{"pve1", "pve2"} })
				b.queue(1, 5*time.Minute)
				switch when {
				case "booting":
					b.until(5*time.Minute, "it boots", func() bool { return len(b.runners()) == 1 && b.runners()[0].Status == "running" })
				case "busy":
					b.busy()
				case "powered off":
					b.busy()
					hold := b.arm(pve.FaultSpec{Match: pve.FaultMatch{Method: http.MethodDelete, Count: -1}, Kind: "answer", Status: 500, Reason: "storage is busy - got timeout"})
					b.until(10*time.Minute, "it is off", func() bool { return b.runners()[0].Status == "stopped" })
					time.Sleep(20 * time.Second)
					hold()
				}
				v := b.runners()[0]
				if err := b.pve.Migrate(v.VMID, "pve2"); err != nil {
					t.Fatal(err)
				}
				moved := time.Now()
				if when != "powered off" {
					b.until(time.Minute, "the status follows", func() bool {
						r := b.controller.Status().Runners
						return len(r) == 1 && r[0].Node == "pve2"
					})
				}
				b.until(20*time.Minute, "job done", b.done)
				b.until(time.Minute, "its power-off is seen, and nothing left on either node", b.empty)
				b.check()
				b.succeeded()
				for _, r := range b.pve.Requests() {
					if r.VMID == v.VMID && r.Node == "pve1" && r.At.Sub(moved) > time.Minute && r.Token == b.pve.Info().TokenID {
						t.Errorf("still asks the old node: %s %s %s after the move", r.Method, r.Path, r.At.Sub(moved))
					}
				}
			})
		})
	}
}

func TestCopyOfARunnerIsNeverTouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.queue(2, 10*time.Minute)
		b.until(10*time.Minute, "both jobs run", func() bool { return count(b, "in_progress") == 2 })
		v, a := b.runners()[0], b.admin()
		a.copyOf(v.VMID, 250, "ci")
		b.untouched(250, func() {
			b.unclaimed(time.Minute, 250, fmt.Sprintf("its marker is a copy of VM %d's", v.VMID))
			b.until(30*time.Minute, "jobs done", b.done)
			b.until(5*time.Minute, "the runners are gone", func() bool { return len(b.runners()) == 0 })
			b.halt() // a copy must not be taken up by a new start either
			b.start("")
			time.Sleep(20 * time.Minute)
			b.unclaimed(time.Minute, 250, "its marker is a copy")
		})
		b.succeeded()
		a.done(a.Delete(t.Context(), "pve1", 250))
		b.served(10 * time.Minute)
	})
}

func TestRunnerWithEditedNotesIsLeftAlone(t *testing.T) {
	for _, notes := range []string{"", "debugging this one, don't touch. Anna"} {
		t.Run(fmt.Sprintf("%q", notes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.queue(1, 40*time.Minute)
				v, a := b.busy(), b.admin()
				a.set(v.VMID, "description", notes)
				b.untouched(v.VMID, func() {
					b.unclaimed(31*time.Minute, v.VMID, "no Mayfly marker")
					b.logged("isn't provably ours any more (no Mayfly marker)")
					b.queue(1, time.Minute)
					b.until(30*time.Minute, "both jobs done", b.done)
					time.Sleep(15 * time.Minute)
					b.unclaimed(time.Minute, v.VMID, "no Mayfly marker")
				})
				b.succeeded()
				if s := b.controller.Status(); !s.Ready {
					t.Errorf("not ready: %q", s.Reasons)
				}
				a.destroy("pve1", v.VMID)
				b.served(10 * time.Minute)
			})
		})
	}
}

// TestProtectedRunnerIsNeverDestroyedByForce: protection set on a running runner is an administrator's will; that of
// the template is taken off before the start.
func TestProtectedRunnerIsNeverDestroyedByForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.queue(1, 5*time.Minute)
		v, a := b.busy(), b.admin()
		a.set(v.VMID, "protection", "1")
		b.until(10*time.Minute, "job done", b.done)
		const words = "protection mode enabled; set the VM's protection to 0"
		b.until(2*time.Minute, "the status says so", func() bool { return strings.Contains(b.reasons(), words) })
		b.logged(words)
		b.queue(2, time.Minute)
		b.until(10*time.Minute, "other jobs don't wait for it", b.done)
		b.succeeded()
		time.Sleep(30 * time.Minute)
		if now := b.vm(v.VMID); now.Config["protection"] != "1" || !strings.Contains(b.reasons(), words) {
			t.Errorf("the protected VM is %+v; the status says %q", now, b.reasons())
		}
		if s := b.controller.Status(); !s.Ready {
			t.Errorf("not ready because of a protected VM: %q", s.Reasons)
		}
		tried := 0
		for _, r := range b.pve.Requests() {
			if r.VMID == v.VMID && r.Method == http.MethodDelete {
				tried++
			}
			if r.VMID == v.VMID && r.Method == http.MethodPut && r.Token == b.pve.Info().TokenID && r.At.After(b.gh.Jobs()[0].StartedAt) {
				t.Errorf("the controller reconfigured it: %s", r.Path)
			}
		}
		if tried > 20 {
			t.Errorf("%d tries in half an hour", tried)
		}
		a.set(v.VMID, "protection", "")
		b.served(10 * time.Minute)
	})
}

func TestRunnerDestroyedByAnAdministratorIsForgotten(t *testing.T) {
	for _, when := range []string{"booting", "idle", "busy"} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				job := b.queue(1, 10*time.Minute)[0]
				switch when {
				case "booting":
					b.until(5*time.Minute, "it boots", func() bool { return len(b.runners()) == 1 && b.runners()[0].Status == "running" })
				case "idle":
					cancel := func(req *http.Request) bool {
						if strings.HasSuffix(req.URL.Path, "/generate-jitconfig") {
							b.gh.CancelJob(job)
						}
						return false
					}
					b.toGitHub.lose.Store(&cancel)
					b.until(5*time.Minute, "it is idle", func() bool { return strings.Contains(b.reasons(), " idle: ") })
				case "busy":
					b.busy()
				}
				v := b.runners()[0]
				b.admin().destroy("pve1", v.VMID)
				b.until(30*time.Second, "it is forgotten", func() bool { return !strings.Contains(b.reasons(), v.Name) })
				switch when {
				case "idle": // GitHub could give it a job until then
					b.until(time.Minute, "its registration is gone", func() bool { return !b.gh.Runners()[0].RemovedAt.IsZero() })
				case "busy": // GitHub holds it until it has missed it for some minutes
					b.until(20*time.Minute, "its registration is gone", func() bool { return !b.gh.Runners()[0].RemovedAt.IsZero() })
					b.queue(1, time.Minute) // that job is lost; the next one is served
				}
				b.served(time.Hour)
				b.logged("it was destroyed by somebody else")
				jobs := b.gh.Jobs()
				if last := jobs[len(jobs)-1]; last.Conclusion != map[string]string{"booting": "success", "idle": "cancelled", "busy": "success"}[when] {
					t.Errorf("job %+v", last)
				}
				if s := b.controller.Status(); len(s.Quarantine) != 0 || b.reason() != fleet.Code("") {
					t.Errorf("status %+v", s)
				}
			})
		})
	}
}
