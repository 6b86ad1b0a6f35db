package fleet_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/pve"
)

// TestKilledCloneCostsItsVMIDAndNoJob kills the first clone's worker at each point of its life. What is left then no
// token can unlock or even see: the VMID is set aside, until an administrator has typed what the status says.
func TestKilledCloneCostsItsVMIDAndNoJob(t *testing.T) {
	for _, tc := range []struct {
		at   string
		left string // the lock of what is left; "-" for nothing that must be tidied up by hand
	}{
		{"start", "-"},
		{"locked", "-"},
		{"copy", "clone"},
		{"copied", "clone"},
		{"pool", ""}, // complete, but in no resource pool
		{"done", "-"},
	} {
		t.Run(tc.at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.arm(pve.FaultSpec{Match: pve.FaultMatch{Task: "qmclone", At: tc.at, VMID: 201}, Kind: "kill"})
				b.queue(2, time.Minute)
				b.until(20*time.Minute, "jobs done", b.done)
				b.succeeded()
				b.logged("unexpected status")
				if tc.left == "-" {
					b.served(20 * time.Minute)
					b.until(time.Minute, "no VMID is set aside", func() bool { return len(b.controller.Status().Quarantine) == 0 })
					return
				}
				b.until(10*time.Minute, "the VMID is set aside, alone", func() bool {
					return len(b.runners()) == 1 && len(b.controller.Status().Quarantine) == 1
				})
				q, v := b.controller.Status().Quarantine[0], b.runners()[0]
				if q.VMID != v.VMID || v.Config["lock"] != tc.left || v.Pool != "" || !strings.Contains(q.Why, "its clone was killed midway") {
					t.Errorf("set aside %+v; left is %+v", q, v)
				}
				b.logged("on node pve1 run: qm unlock")
				b.tidied(v.VMID, q.Command)
			})
		})
	}
}

// tidied does what the status asks an administrator to do about a VMID that is set aside, and demands that it is used
// again.
func (b *bench) tidied(vmid int, command string) {
	b.t.Helper()
	if want := "qm unlock 201 && qm destroy 201 --purge"; vmid != 201 || command != want {
		b.t.Errorf("VM %d: the command is %q, want %q", vmid, command, want)
	}
	b.lock(vmid, "")
	time.Sleep(6 * time.Minute) // the VMIDs of the others have had their rest
	free := b.controller.Status().Capacity.VMIDsFree
	a := b.admin()
	a.done(a.Delete(b.t.Context(), "pve1", vmid))
	b.until(time.Minute, "the VMID is free again", func() bool { return len(b.controller.Status().Quarantine) == 0 })
	b.logged("quarantine over")
	if n := b.controller.Status().Capacity.VMIDsFree; n != free {
		b.t.Errorf("%d VMIDs are free, want %d as before: that of a VM that has just gone rests, as any other", n, free)
	}
	b.served(time.Minute)
}

// TestKilledDestroyIsRepeatedOrSetAside kills the first removal's worker at each point.
func TestKilledDestroyIsRepeatedOrSetAside(t *testing.T) {
	for _, tc := range []struct {
		at      string
		command string // "" where the next try does it
	}{
		{"start", ""},
		{"locked", ""},
		{"copy", ""}, // the disks are gone
		{"copied", "qm unlock 201 && qm destroy 201 --purge"}, // lock: destroyed
		{"pool", "qm config 201"},                             // that, and out of its resource pool: out of sight
	} {
		t.Run(tc.at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.arm(pve.FaultSpec{Match: pve.FaultMatch{Task: "qmdestroy", At: tc.at}, Kind: "kill"})
				b.queue(1, time.Minute)
				b.until(20*time.Minute, "job done", b.done)
				if tc.command == "" {
					b.served(20 * time.Minute)
					b.succeeded()
					b.logged("unexpected status")
					return
				}
				b.until(10*time.Minute, "the VMID is set aside", func() bool { return len(b.controller.Status().Quarantine) == 1 })
				q, v := b.controller.Status().Quarantine[0], b.vm(201)
				if q.VMID != 201 || q.Command != tc.command || v.VMID != 201 || len(b.guests.Disks()) != 0 {
					t.Errorf("set aside %+v; left is %+v with disks %v", q, v, b.guests.Disks())
				}
				if n := len(b.controller.Status().Runners); n != 0 {
					t.Errorf("%d runners are still counted", n)
				}
				b.logged(q.Command)
				b.halt() // a new start knows nothing of it, and leaves it alone
				b.start("")
				if tc.at == "copied" {
					b.unclaimed(time.Minute, 201, "no Mayfly marker (lock: destroyed)")
				}
				time.Sleep(10 * time.Minute)
				b.lock(201, "")
				a := b.admin()
				a.done(a.Delete(t.Context(), "pve1", 201))
				b.until(time.Minute, "the VMID is free again", func() bool { return len(b.controller.Status().Quarantine) == 0 })
				b.served(time.Minute)
				b.succeeded()
			})
		})
	}
}

// TestCloneThatEndsBetweenTwoLooksIsCounted: after a restart the list of VMs is read while a clone isn't in the resource
// pool yet, so that the token can't see it, and the list of running tasks when it isn't among those any more.
func TestCloneThatEndsBetweenTwoLooksIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.MaxRunners = 1 })
		release := b.arm(pve.FaultSpec{Kind: "hold", Match: pve.FaultMatch{Task: "qmclone", At: "copy"}})
		b.queue(1, time.Minute)
		b.until(5*time.Minute, "a clone", func() bool { return len(b.runners()) == 1 })
		b.halt()
		b.onReply(http.MethodGet, "/cluster/resources", func() {
			release()
			time.Sleep(10 * time.Second)
		})
		b.start("")
		b.served(time.Hour)
		b.succeeded()
		if n := b.mostAtOnce(); n != 1 {
			t.Errorf("%d VMs at once, want 1", n)
		}
	})
}
