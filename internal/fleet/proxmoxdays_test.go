package fleet_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

func TestTemplateLockedByABackupHoldsJobsUntilTheLockGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.lock(9000, "backup")
		time.Sleep(time.Minute) // the first look may have been before
		b.queue(3, time.Minute)
		b.until(5*time.Minute, "the jobs' reason", func() bool { return b.reason() == fleet.WaitTemplate })
		b.unready(time.Minute, `template "ubuntu-2204-runner-template" (VM 9000) is locked (backup)`)
		time.Sleep(30 * time.Minute)
		if n := len(b.runners()); n != 0 {
			t.Errorf("%d VMs from a locked template", n)
		}
		for _, task := range b.pve.Tasks() {
			t.Errorf("a task while the template was locked: %+v", task)
		}
		b.lock(9000, "")
		b.served(20 * time.Minute)
		b.succeeded()
		if s := b.controller.Status(); !s.Ready {
			t.Errorf("not ready afterwards: %q", s.Reasons)
		}
	})
}

func TestTemplateLockedBetweenLookAndCloneCostsOneTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.onReply(http.MethodGet, "/cluster/nextid", func() { b.lock(9000, "backup") })
		b.queue(1, time.Minute)
		b.unready(5*time.Minute, "is locked (backup)")
		time.Sleep(10 * time.Minute)
		b.lock(9000, "")
		b.served(20 * time.Minute)
		b.succeeded()
		b.logged("VM is locked (backup)")
	})
}

func TestInheritedProtectionIsTakenOffTheClone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.admin().set(9000, "protection", "1")
		b.queue(3, time.Minute)
		b.until(10*time.Minute, "jobs done", b.done)
		b.until(5*time.Minute, "nothing left", b.empty)
		b.admin().set(9000, "protection", "")
		b.check()
		b.succeeded()
	})
}

// TestRunnerCrashedOnBeforeItsConfigIsFinishedByTheNextStart crashes between clone and configuration: the VM has all
// that its template had, protection too, and nobody has started it.
func TestRunnerCrashedOnBeforeItsConfigIsFinishedByTheNextStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.admin().set(9000, "protection", "1")
		allow := b.arm(pve.FaultSpec{
			Match: pve.FaultMatch{Method: http.MethodPut, Path: "/nodes/*/qemu/*/config", Count: -1}, Kind: "refuse",
		})
		b.queue(1, time.Minute)
		b.until(5*time.Minute, "a clone", func() bool { return len(b.runners()) == 1 && b.runners()[0].Pool == "ci" })
		b.halt()
		allow()
		b.start("")
		b.until(10*time.Minute, "job done", b.done)
		b.until(5*time.Minute, "nothing left", b.empty)
		b.admin().set(9000, "protection", "")
		b.check()
		b.succeeded()
		if vms := len(b.gh.Runners()); vms != 1 {
			t.Errorf("%d registrations for one job", vms)
		}
	})
}

func TestVMIDTakenBetweenLookAndCloneIsLeftToItsOwner(t *testing.T) {
	for _, node := range []string{"pve1", "pve2"} {
		t.Run("on "+node, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) { s.pve.Nodes = []string{"pve1", "pve2"} })
				var taken atomic.Int32
				b.onReply(http.MethodGet, "/cluster/nextid", func() {
					vmid := 201 // the first of the range that no decoy has
					a, template := b.admin(), map[string]int{"pve1": 9000, "pve2": 9001}[node]
					a.done(a.Clone(t.Context(), node, template, proxmox.CloneOptions{NewID: vmid, Name: "admins-201"}))
					taken.Store(int32(vmid))
				})
				b.queue(1, time.Minute)
				b.until(10*time.Minute, "job done", b.done)
				before := b.vm(int(taken.Load()))
				b.until(5*time.Minute, "nothing of ours left", func() bool { return len(b.runners()) == 0 })
				if now := b.vm(201); before.Name != "admins-201" || fmt.Sprint(now) != fmt.Sprint(before) {
					t.Errorf("the administrator's VM was %+v, is %+v", before, now)
				}
				b.logged("vmid taken")
				b.succeeded()
				if strings.Contains(b.log.String(), "level=ERROR") {
					t.Error("a taken VMID was taken for an error")
				}
				b.admin().destroy(node, 201)
				b.check()
			})
		})
	}
}

// TestOtherTokensTasksAreNotTakenForOurs restarts the controller while somebody else's clone into our range runs.
func TestOtherTokensTasksAreNotTakenForOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.halt()
		hold := b.arm(pve.FaultSpec{Match: pve.FaultMatch{Task: "qmclone", At: "copied", VMID: 250}, Kind: "hold"})
		a := b.admin()
		upid, err := a.Clone(t.Context(), "pve1", 9000, proxmox.CloneOptions{NewID: 250, Name: "admins-250"})
		if err != nil {
			t.Fatal(err)
		}
		b.queue(2, time.Minute)
		time.Sleep(10 * time.Second)
		b.start("")
		b.until(10*time.Minute, "jobs done beside the other's clone", b.done)
		hold()
		a.done(upid, nil)
		before := b.vm(250)
		time.Sleep(10 * time.Minute)
		if now := b.vm(250); before.VMID != 250 || fmt.Sprint(now) != fmt.Sprint(before) {
			t.Errorf("the administrator's VM was %+v, is %+v", before, now)
		}
		for _, r := range b.controller.Status().Runners {
			t.Errorf("taken for a runner of ours: %+v", r)
		}
		a.destroy("pve1", 250)
		b.served(20 * time.Minute)
		b.succeeded()
	})
}

func TestFullStorageIsToldAndSatOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		freed := b.arm(pve.FaultSpec{
			Match: pve.FaultMatch{Task: "qmclone", At: "copy", Count: -1}, Kind: "fail",
			Reason: `lvcreate 'pve/vm-201-disk-0' error:   Volume group "pve" has insufficient free space (12 extents): 2048 required.`,
		})
		b.queue(2, time.Minute)
		b.unready(10*time.Minute, "has insufficient free space (12 extents): 2048 required")
		b.unready(10*time.Minute, "the storage is full: free space there")
		b.until(10*time.Minute, "the jobs' reason", func() bool { return b.reason() == fleet.WaitBackoff })
		time.Sleep(30 * time.Minute)
		if n := len(b.pve.Tasks()); n > 40 {
			t.Errorf("%d clones tried in half an hour on a full storage", n)
		}
		if left := b.guests.Disks(); len(left) != 0 {
			t.Errorf("disks left by failed clones: %v", left)
		}
		freed()
		b.served(30 * time.Minute)
		b.succeeded()
	})
}

// TestStartThatFailsSaysTheCauseFromItsTaskLog: the task's exit status is "start failed: QEMU exited with code 1".
func TestStartThatFailsSaysTheCauseFromItsTaskLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const cause = "cannot set up guest memory 'pc.ram': Cannot allocate memory"
		b := newBench(t, func(s *setup) { s.spec.Pools[0].Memory = 300 * runner.GiB }) // the node has 256
		b.queue(1, time.Minute)
		b.unready(10*time.Minute, cause)
		b.unready(10*time.Minute, "the node has too little free memory")
		for line := range strings.Lines(b.log.String()) {
			if strings.Contains(line, `msg="runner failed"`) && !strings.Contains(line, cause) {
				t.Errorf("a failed runner without its cause: %s", line)
			}
		}
		b.halt() // the user gives it less, and starts anew
		b.spec.Pools[0].Memory = 4 * runner.GiB
		b.start("")
		b.served(30 * time.Minute)
		b.succeeded()
	})
}

// TestRunnersThatFailTogetherCountAsOneFailure: five VMs that don't start for one cause are no reason to wait as long as
// after five tries.
func TestRunnersThatFailTogetherCountAsOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.Pools[0].Memory = 300 * runner.GiB })
		b.queue(5, time.Minute)
		failed := func() int { return strings.Count(b.log.String(), `msg="runner failed"`) }
		b.until(time.Minute, "the first failures", func() bool { return failed() >= 5 })
		if strings.Contains(b.log.String(), "failures in a row") {
			t.Error("five failures at once count as more than one")
		}
		b.logged("after 1 failure: ")
		b.until(5*time.Minute, "the next ones", func() bool { return failed() > 5 })
		b.until(time.Minute, "their wait", func() bool { return strings.Contains(b.log.String(), "after 2 failures in a row: ") })
	})
}

func TestAgentThatNeverAnswersCostsItsVMAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int32
		b := newBench(t, func(s *setup) {
			s.guests.Behave = func(pve.Machine) world.Behaviour {
				if made.Add(1) == 1 {
					return world.MuteAgent
				}
				return world.Normal
			}
		})
		b.queue(1, time.Minute)
		b.until(time.Minute, "its reason", func() bool { return strings.Contains(b.reasons(), "QEMU guest agent is not running") })
		b.served(30 * time.Minute)
		b.succeeded()
		b.logged("its guest was not ready after 5m0s: probe guest of VM")
		b.logged("QEMU guest agent is not running")
		if n := len(b.gh.Runners()); n != 1 {
			t.Errorf("%d registrations: the mute guest must get none", n)
		}
	})
}
