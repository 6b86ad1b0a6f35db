package sim

import "time"

// busyKept: no VM is stopped or destroyed while its job runs, before the job's limit. In one that QEMU halted nothing runs,
// whatever GitHub still believes.
type busyKept struct {
	anyRule
	w *world
}

func (r *busyKept) began(c *call) {
	if !c.is(routeStop) && !c.is(routeDestroy) {
		return
	}
	v := r.w.model.vms[c.vmid]
	if v == nil || !v.running || v.halted {
		return
	}
	if look, there := r.w.gh.Look(v.name); there && look.Job != 0 && time.Since(look.Started) < maxJob {
		r.w.violated("busy kept", "%s %s while job %d has run on %s for %s", c.method, c.path, look.Job, v.name, time.Since(look.Started))
	}
}
