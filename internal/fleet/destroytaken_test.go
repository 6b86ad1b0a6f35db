package fleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

// TestVMTakenOverWhileItIsStoppedIsKept: a stop takes seconds, in which an administrator may have made the VM his own.
func TestVMTakenOverWhileItIsStoppedIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			s.guests.Behave = func(m pve.Machine) world.Behaviour {
				if m.VMID == 201 {
					return world.MuteAgent
				}
				return world.Normal
			}
		})
		a := b.admin()
		b.onReply("POST", "/201/status/stop", func() { a.set(201, "description", "mine now") })
		b.queue(1, time.Minute)
		b.until(30*time.Minute, "the job is done by another VM", b.done)
		b.unclaimed(time.Minute, 201, "")
		if v := b.vm(201); v.DestroyedAt != nil {
			t.Errorf("VM 201 was destroyed at %s", v.DestroyedAt)
		}
		a.destroy("pve1", 201)
	})
}
