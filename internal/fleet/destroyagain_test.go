package fleet_test

import (
	"net/http"
	"testing"
	"testing/synctest"

	"mayfly/internal/sim/pve"
)

// TestSecondTryToDestroyReadsTheConfigAnew: between the two an administrator may have taken the VM.
func TestSecondTryToDestroyReadsTheConfigAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		_, err := b.pve.Fault(pve.FaultSpec{
			Kind: "fail", Reason: "can't lock file '/var/lock/qemu-server/lock-201.conf' - got timeout",
			Match: pve.FaultMatch{Task: "qmdestroy", At: "start"},
		})
		if err != nil {
			t.Fatal(err)
		}
		oneJob(b)
		b.fired()
		read, tries := false, 0
		for _, r := range b.pve.Requests() {
			switch {
			case r.Method == http.MethodDelete && r.VMID == 201:
				if tries++; !read {
					t.Errorf("try %d to destroy the VM without a look at its config since the last", tries)
				}
				read = false
			case r.Method == http.MethodGet && r.VMID == 201 && tries < 2:
				read = read || len(r.Path) > 7 && r.Path[len(r.Path)-7:] == "/config"
			}
		}
		if tries != 2 {
			t.Errorf("%d tries to destroy the VM, want 2", tries)
		}
	})
}
