package fleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// slowStop has a VM run on for a minute after it was asked to stop.
var slowStop = pve.FaultSpec{Kind: "delay", DelayMS: 60_000, Match: pve.FaultMatch{Task: "qmstop", At: "start"}}

// TestVMThatIsBeingStoppedGetsNoJob restarts the dispatcher while a VM that it gave up is being stopped, which takes long: the VM
// still runs, and a job that it got now would end with it.
func TestVMThatIsBeingStoppedGetsNoJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.arm(slowStop)
		b.armGitHub(gh.FaultSpec{Kind: "409", Match: gh.FaultMatch{Path: "**/generate-jitconfig"}})
		b.queue(1, 2*time.Minute)
		b.until(5*time.Minute, "the VM is being stopped", func() bool { return b.asked(stops.method, stops.path) == 1 })
		b.halt()
		stopped := b.runners()[0]
		if stopped.Status != "running" {
			t.Fatalf("the VM is %s, want one that still runs", stopped.Status)
		}
		b.start("")
		b.until(20*time.Minute, "the job is done", b.done)
		if j := b.gh.Jobs()[0]; j.Conclusion != "success" || j.RunnerName == stopped.Name {
			t.Errorf("the job ended as %s on %s; the VM that was being stopped is %s", j.Conclusion, j.RunnerName, stopped.Name)
		}
		b.served(10 * time.Minute)
		if n := b.asked(stops.method, stops.path); n != 1 {
			t.Errorf("%d requests to stop a VM, want the one of before the restart", n)
		}
		b.fired()
	})
}

// TestJobOverItsLimitIsStoppedOnce is the same for a VM that had its job until the limit.
func TestJobOverItsLimitIsStoppedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.Pools[0].MaxJobDuration = 10 * time.Minute })
		b.arm(slowStop)
		b.queue(1, time.Hour)
		b.until(30*time.Minute, "the VM is being stopped", func() bool { return b.asked(stops.method, stops.path) == 1 })
		b.halt()
		b.start("")
		b.until(time.Minute, "it is known to end", func() bool {
			r := b.controller.Status().Runners
			return len(r) == 1 && r[0].State == runner.Failed
		})
		b.until(20*time.Minute, "nothing is left", b.empty)
		if n := b.asked(stops.method, stops.path); n != 1 {
			t.Errorf("%d requests to stop a VM, want the one of before the restart", n)
		}
	})
}
