package fleet_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/runner"
)

// onNodes has runners live on all of three nodes.
func onNodes(s *setup) {
	s.pve.Nodes = []string{"pve1", "pve2", "pve3"}
	s.spec.Nodes = []string{fleet.AllNodes}
	s.spec.Placement = fleet.Placement{
		MemoryReserve: 2 * runner.GiB, MemoryOvercommit: 1, CPUOvercommit: 4, LinkedGrowth: 5 * runner.GiB, StorageReserve: 5 * runner.GiB,
	}
}

// livesOn counts our VMs on each node.
func livesOn(b *bench) map[string]int {
	on := map[string]int{}
	for _, r := range b.controller.Status().Runners {
		on[r.Node]++
	}
	return on
}

func TestRunnersSpreadOverAllNodesWithATemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, onNodes)
		b.queue(6, 5*time.Minute)
		b.until(5*time.Minute, "six jobs run", func() bool { return count(b, "in_progress") == 6 })
		if on := livesOn(b); len(on) < 2 || on["pve2"] != on["pve3"] || on["pve1"] > 2 { // others' VMs run on pve1
			t.Errorf("runners live on %v", on)
		}
		b.served(time.Hour)
	})
}

func TestRunnersArePackedWhereThatIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			onNodes(s)
			s.spec.Placement.Strategy = fleet.Pack
		})
		b.queue(5, 5*time.Minute)
		b.until(5*time.Minute, "five jobs run", func() bool { return count(b, "in_progress") == 5 })
		if on := livesOn(b); len(on) != 2 { // the first node bears four clones at once
			t.Errorf("runners live on %v", on)
		}
		b.served(time.Hour)
	})
}

func TestPoolStaysOnItsNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			onNodes(s)
			s.spec.Pools[0].Nodes = []string{"pve3"}
		})
		b.queue(3, 5*time.Minute)
		b.until(5*time.Minute, "three jobs run", func() bool { return count(b, "in_progress") == 3 })
		if on := livesOn(b); on["pve3"] != 3 {
			t.Errorf("runners live on %v", on)
		}
		b.served(time.Hour)
	})
}

// TestDeadNodeLosesItsJobsAndNothingElse: its VMs count until it is back, others take the jobs that wait, and what it
// brings back is cleaned up.
func TestDeadNodeLosesItsJobsAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			onNodes(s)
			s.spec.MaxRunners = 6
		})
		b.queue(6, 10*time.Minute)
		b.until(5*time.Minute, "six jobs run", func() bool { return count(b, "in_progress") == 6 })
		dead := livesOn(b)["pve2"]
		if dead == 0 {
			t.Fatalf("none on pve2: %v", livesOn(b))
		}
		if err := b.pve.KillNode(t.Context(), "pve2"); err != nil {
			t.Fatal(err)
		}
		b.queue(4, time.Minute)
		time.Sleep(40 * time.Minute)
		if n := count(b, "queued"); n != 0 {
			t.Errorf("%d jobs still wait with a node dead", n)
		}
		if on := livesOn(b); on["pve2"] != dead {
			t.Errorf("the dead node's runners were forgotten: %v", on)
		}
		if err := b.pve.ReviveNode("pve2"); err != nil {
			t.Fatal(err)
		}
		b.until(30*time.Minute, "all runners are gone", func() bool { return len(b.controller.Status().Runners) == 0 })
	})
}

func TestJobThatFitsNowhereSaysWhyForEachNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			onNodes(s)
			s.spec.Pools[0].Memory = 300 * runner.GiB
		})
		b.queue(1, time.Minute)
		b.until(5*time.Minute, "the reason is told", func() bool { return b.reason() == fleet.WaitNode })
		text := b.controller.Status().Waiting[0].Reason.Text
		for _, words := range []string{"pve1: ", "pve2: ", "pve3: ", "of memory free", "300.0 GiB needed"} {
			if !strings.Contains(text, words) {
				t.Errorf("%q lacks %q", text, words)
			}
		}
	})
}

func TestRestartsOnManyNodesLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, onNodes)
		b.queue(12, 3*time.Minute)
		for i := range 10 {
			time.Sleep(time.Duration(3+5*i) * time.Second)
			b.halt()
			time.Sleep(time.Second)
			b.start("")
		}
		b.served(2 * time.Hour)
		for _, j := range b.gh.Jobs() {
			if j.Conclusion != "success" {
				t.Errorf("job %d ended as %s: %s", j.ID, j.Conclusion, j.Reason)
			}
		}
	})
}

// TestWarmRunnersLeaveANodeThatTheirPoolHasLeft changes a pool's nodes while spares and idle runners wait: others take their
// places first, and no job waits longer.
func TestWarmRunnersLeaveANodeThatTheirPoolHasLeft(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, func(s *setup) {
				onNodes(s)
				warm(1, 2)(s)
				s.spec.Pools[0].Nodes = []string{"pve2"}
			})
			b.until(10*time.Minute, "warm", b.isWarm(1, 2))
			b.change(restart, func(s *fleet.Spec) { s.Pools[0].Nodes = []string{"pve3"} })
			for since := time.Now(); time.Since(since) < 10*time.Minute; time.Sleep(5 * time.Second) {
				if n := b.able(); time.Since(since) > time.Minute && n < 3 {
					t.Fatalf("%d warm runners after %s, want 3 at any time", n, time.Since(since))
				}
			}
			if on := livesOn(b); on["pve3"] != 3 || len(on) != 1 {
				t.Errorf("runners live on %v", on)
			}
			b.drained(time.Hour)
		})
	}
}
