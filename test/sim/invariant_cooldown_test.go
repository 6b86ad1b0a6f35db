package sim

import (
	"time"
)

// cooldown: a process gives no VMID to a new VM before its last one, of which it could know, has been gone for 5 minutes. The
// worlds' ranges are long enough for that.
type cooldown struct {
	anyRule
	w *world
}

// rest is the time that a VMID rests.
const rest = 5 * time.Minute

func (r *cooldown) began(c *call) {
	if !c.is(routeClone) {
		return
	}
	d, was := r.w.model.gone[atoi(c.newID())]
	if was && d.gen == c.gen && time.Since(d.at) < rest {
		r.w.violated("cool-down", "VMID %s is used again %s after its last VM was destroyed", c.newID(), time.Since(d.at))
	}
}
