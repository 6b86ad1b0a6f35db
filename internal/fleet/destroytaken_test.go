package fleet_test

import (
	"net/http"
	"slices"
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

// TestPaceOfChangesDoesNotSkipTheQuestion: three VMs that halted are ended at once, and GitHub takes one change a second. It is
// asked about each before the VM is stopped, though what runs in it is lost.
func TestPaceOfChangesDoesNotSkipTheQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.MaxRunners = 3 })
		b.queue(3, 10*time.Minute)
		b.until(10*time.Minute, "three jobs run", func() bool { return count(b, "in_progress") == 3 })
		halted := b.runners()
		for _, v := range halted {
			if err := b.pve.Halt(t.Context(), v.VMID, "io-error"); err != nil {
				t.Fatal(err)
			}
		}
		b.until(10*time.Minute, "they are gone", func() bool {
			return !slices.ContainsFunc(halted, func(v pve.VMState) bool { return b.vm(v.VMID).VMID != 0 })
		})
		asked := b.asked(http.MethodDelete, "/repos/*/*/actions/runners/*")
		if asked < 3 {
			t.Errorf("GitHub was asked about %d of 3 registrations", asked)
		}
	})
}
