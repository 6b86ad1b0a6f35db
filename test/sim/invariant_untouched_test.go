package sim

import (
	"net/http"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// untouched: nothing that isn't ours is asked to change, and at the end all of it is as it was, byte for byte.
//
// The bound: Proxmox destroys a VM without a digest, so nothing fences the moment between the last look at its config and that.
// Whoever takes a VM over in that moment, of lookFor at most, loses it.
type untouched struct {
	anyRule
	w *world
	// foreign are the VMs that were there before us, by VMID.
	foreign map[int]bool
}

// lookFor is how long before it destroys a VM a process may have set out to look at its config: a reply may be late.
const lookFor = slowFor + time.Second

func (r *untouched) began(c *call) {
	if c.side != toProxmox || c.method == http.MethodGet || c.vmid == 0 || c.is(routeClone) {
		return
	}
	if r.foreign == nil {
		r.foreign = map[int]bool{}
		for _, v := range r.w.pve.VMs() {
			if v.CreatedBy == "" || v.CreatedBy != r.w.spec.Token {
				r.foreign[v.VMID] = true
			}
		}
	}
	if v := r.w.model.vms[c.vmid]; v != nil && !v.taken.IsZero() && c.is(routeDestroy) {
		r.fresh(c, v.taken, v.looked[c.gen])
	}
	// The guest agent of a VM that is off takes nothing.
	if u, is := r.w.model.reused[c.vmid]; is && !c.is(routeExec) && !c.is(routeWrite) {
		r.fresh(c, u.since, u.looked[c.gen])
	}
	if r.foreign[c.vmid] || r.w.model.copies[c.vmid] {
		r.w.violated("untouched", "%s %s: VM %d isn't ours", c.method, c.path, c.vmid)
	}
}

// fresh demands that the process didn't know that the VM is somebody else's, and had just looked.
func (r *untouched) fresh(c *call, since, look time.Time) {
	if look.After(since) || time.Since(look) > lookFor {
		r.w.violated("untouched", "%s %s: VM %d is no longer ours since %s, and the last look at its config was %s ago",
			c.method, c.path, c.vmid, time.Since(since), time.Since(look))
	}
}

func (r *untouched) finished(p pve.State, _ gh.State) {
	for _, v := range p.VMs {
		lostPower := r.w.model.died[v.Node] && len(v.StartedAt) > 0
		if v.DigestStart != v.DigestNow && !lostPower {
			r.w.violated("untouched", "VM %d (decoy %q, template %v) isn't what it was", v.VMID, v.Decoy, v.Template)
		}
	}
}
