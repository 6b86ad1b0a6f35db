package fleet_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/pve"
)

// TestVMThatCannotBeReadAfterARestartCounts: it may be ours, and then one more would be too many.
func TestVMThatCannotBeReadAfterARestartCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.MaxRunners = 1 })
		b.queue(1, 10*time.Minute)
		v := b.busy()
		b.halt()
		b.queue(1, time.Minute)
		b.arm(pve.FaultSpec{
			Kind: "answer", Status: http.StatusInternalServerError, Match: pve.FaultMatch{Method: http.MethodGet, Path: "/nodes/pve1/qemu/201/config", Count: 20},
		})
		b.start("")
		b.served(2 * time.Hour)
		b.fired()
		b.made(2, 2)
		if n := b.mostAtOnce(); v.VMID != 201 || n != 1 {
			t.Errorf("VM %d ran the job; %d VMs at once, max_runners is 1", v.VMID, n)
		}
	})
}
