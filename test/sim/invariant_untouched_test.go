package sim

import (
	"net/http"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// untouched: nothing that isn't ours is asked to change, and at the end all of it is as it was, byte for byte.
type untouched struct {
	anyRule
	w *world
	// foreign are the VMs that were there before us, by VMID.
	foreign map[int]bool
}

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
	if v := r.w.model.vms[c.vmid]; v != nil && v.taken && c.is(routeDestroy) {
		r.w.violated("untouched", "VM %d is to be destroyed, which its notes say is no longer ours", c.vmid)
	}
	if r.foreign[c.vmid] {
		r.w.violated("untouched", "%s %s: VM %d isn't ours", c.method, c.path, c.vmid)
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
