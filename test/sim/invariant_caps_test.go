package sim

import "mayfly/internal/sim/pve"

// caps: there are never more VMs than max_runners, nor of a pool than its max. One that somebody took over is his, and
// counts no more; nor does what a killed worker leaves: it is no runner, and only the administrator can remove it; nor one that
// came back from a backup.
type caps struct {
	anyRule
	w *world
}

func (r *caps) changed(c pve.Change) {
	v := r.w.model.vms[c.VMID]
	if c.Kind != pve.ChangeCreated || v == nil {
		return
	}
	all, n := 0, 0
	for _, other := range r.w.model.vms {
		if !other.taken.IsZero() || other.back {
			continue
		}
		all++
		if other.pool == v.pool {
			n++
		}
	}
	if all > r.w.runners+r.w.killed {
		r.w.violated("caps", "VM %d is one of %d, max_runners is %d", c.VMID, all, r.w.runners)
	}
	if pool, known := r.w.spec.Pool(v.pool); known && n > pool.Max+r.w.killed {
		r.w.violated("caps", "VM %d is one of %d of pool %s, whose max is %d", c.VMID, n, v.pool, pool.Max)
	}
}
