package sim

import "time"

// vmidTroubles are those of VMIDs that change hands, and of VMs that somebody wants to keep.
var vmidTroubles = []trouble{vmidTaken, adminReuses, adminProtects}

// vmidTaken has the administrator make a VM under the very VMID that a clone of ours asks for, on some node, when the clone
// is already on its way.
func vmidTaken(w *world, at time.Time, object string) []event {
	return w.simply(at, object, "VMID is taken", func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.grabs += between(1, 3, w.seed, "taken", object)
	})
}

// grab takes the VMID of a clone that is about to be asked for, if one is to be taken.
func (w *world) grab(c *call) {
	w.mu.Lock()
	due := w.grabs > 0
	if due {
		w.grabs--
	}
	w.mu.Unlock()
	if due {
		w.adminOwns(pick(w.seed, "grabs "+c.newID(), w.nodes...), atoi(c.newID()), "")
	}
}

// adminOwns makes a VM of the administrator's, which stays, unless somebody has the VMID.
func (w *world) adminOwns(node string, vmid int, pool string) {
	a, err := w.pve.Backup(firstTemplate)
	w.must(err)
	if w.pve.Restore(a, node, vmid, pool) != nil {
		return
	}
	w.trace.add("admin has a VM %d on %s, in pool %q", vmid, node, pool)
	w.must(w.pve.Edit(vmid, map[string]string{"template": "", "protection": "", "name": "admins-own", "description": "keep"}))
}

// adminReuses removes one of our VMs and makes another under its VMID at once, in our resource pool or in none: until the
// next broadcast it has its predecessor's name and state.
func adminReuses(w *world, at time.Time, object string) []event {
	return []event{{at, "admin reuses a VMID", func() {
		v := w.pick(object, func(v *machine) bool { return v.running && !v.stopped && v.taken.IsZero() && !w.dead[v.node] })
		if v == nil || w.pve.Locks()[v.vmid] != "" || !w.plan.trouble("admin reuses a VMID", object) {
			return
		}
		w.spoil(v)
		w.must(w.pve.Drop(v.vmid))
		w.mu.Lock()
		w.model.reused[v.vmid] = reuse{time.Now(), v.looked}
		w.mu.Unlock()
		w.adminOwns(v.node, v.vmid, pick(w.seed, "reused "+object, "", w.spec.ResourcePool))
	}}}
}

// adminProtects protects one of our VMs for a while: as long as that lasts it can't be destroyed.
func adminProtects(w *world, at time.Time, object string) []event {
	protect := func(v *machine, how string) { w.must(w.pve.Edit(v.vmid, map[string]string{"protection": how})) }
	return w.adminHolds("admin protects a VM", at, w.seconds("protects", object, 30, 1800), object, hold{
		func(v *machine) bool { return v.running }, func(v *machine) { protect(v, "1") },
		func(v *machine) bool { return w.pick("", func(other *machine) bool { return other == v }) == v }, func(v *machine) { protect(v, "") },
	})
}

// endQuietTroubles ends those that would strike later only, or end by themselves.
func (w *world) endQuietTroubles() {
	w.mu.Lock()
	w.grabs = 0
	w.mu.Unlock()
	w.cutOff.Store(0)
	w.refused.Store(0)
}
