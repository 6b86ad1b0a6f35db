package fleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
)

// TestStatusTellsWhatEachNodeIsGoodFor with a fleet at work, a node in maintenance and one that dies.
func TestStatusTellsWhatEachNodeIsGoodFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, onNodes)
		if err := b.pve.SetMaintenance("pve3", true); err != nil {
			t.Fatal(err)
		}
		b.until(time.Minute, "a first look", func() bool { return len(b.controller.Status().Nodes) == 3 })
		empty := b.controller.Status().Nodes
		b.queue(4, 10*time.Minute)
		b.until(5*time.Minute, "four jobs run", func() bool { return count(b, "in_progress") == 4 })
		on := livesOn(b)
		for i, n := range b.controller.Status().Nodes {
			want, took := fleet.NodeOnline, on[n.Name] > 0
			if n.Name == "pve3" {
				want = fleet.NodeMaintenance
			}
			if n.State != want || (n.Why == "") != (want == fleet.NodeOnline) || n.Runners != on[n.Name] || (n.CoresTaken > 0) != took {
				t.Errorf("%+v, with %d runners on it", n, on[n.Name])
			}
			if was := empty[i]; n.Memory == 0 || n.Memory != was.Memory || (n.MemoryFree < was.MemoryFree) != took || n.Cores == 0 {
				t.Errorf("%+v, and empty %+v", n, was)
			}
		}
		if err := b.pve.KillNode(t.Context(), "pve2"); err != nil {
			t.Fatal(err)
		}
		b.until(time.Minute, "the dead node is shown", func() bool { return b.controller.Status().Nodes[1].State == fleet.NodeOffline })
	})
}
