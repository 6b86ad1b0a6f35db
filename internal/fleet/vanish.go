package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/proxmox"
)

// vanished ends a runner whose VM Proxmox lists no more. Somebody destroyed it, or it is still there and this token
// sees it no longer: an administrator moved it out of our resource pool, or a removal was killed after it had taken
// the VM out. Then its VMID is set aside, because whatever has it is nobody's of ours any more.
func (c *Controller) vanished(ctx context.Context, a action) outcome {
	free, err := c.pve.VMIDFree(ctx, a.vmid)
	if err != nil {
		return func(e *entry, now time.Time) {
			e.lastWord = err.Error()
			e.notUntil = now.Add(c.spec.Timing.BackoffMin)
		}
	}
	if a.theirs {
		return func(e *entry, now time.Time) {
			if free {
				c.forget(e, now)
				return
			}
			e.notUntil = now.Add(c.spec.Timing.BackoffMin) // it is being destroyed
		}
	}
	if free {
		return func(e *entry, now time.Time) {
			c.log.Warn("vm vanished", "runner", e.name, "vmid", e.vmid, "node", e.node, "reason", "it was destroyed by somebody else")
			c.owe(a, now)
			c.forget(e, now)
		}
	}
	return func(e *entry, now time.Time) {
		q := Quarantine{
			VMID: e.vmid, Node: e.node, Since: now, hidden: true, Command: fmt.Sprintf("qm config %d", e.vmid),
			Why: "it is still there, but this token sees it no more: its removal was killed midway (then destroy it)",
		}
		if c.spec.ResourcePool != "" {
			q.Why = fmt.Sprintf("it is still there, but this token sees it no more: it was moved out of resource pool %s (to give it back: pvesh set /pools --poolid %s --vms %d), or its removal was killed midway (then destroy it)",
				c.spec.ResourcePool, c.spec.ResourcePool, e.vmid)
		}
		c.quarantine(q)
		c.forget(e, now)
	}
}

// elsewhere reports whether the VM isn't where it was last seen: an administrator has moved or destroyed it, and the
// next look tells which.
func (c *Controller) elsewhere(ctx context.Context, a action) bool {
	_, err := c.pve.VMConfig(ctx, a.node, a.vmid)
	return errors.Is(err, proxmox.NotFound)
}

// owe notes that the registration of a VM that is gone has to go too; GitHub holds it for a while if it had a job.
func (c *Controller) owe(a action, now time.Time) {
	if a.registration == 0 {
		return
	}
	if _, known := c.ledger.removals[a.registration]; !known {
		c.ledger.removals[a.registration] = removal{target: a.target, name: a.name, since: now, next: now}
	}
}

// disownEdited drops runners whose VM, on a config read since they were made, isn't provably ours any more: somebody
// edited its notes or renamed it. It is left alone from then on and shown as unclaimed.
func (c *Controller) disownEdited(o supply, now time.Time) {
	for _, id := range sortedKeys(c.ledger.runners) {
		e := c.ledger.runners[id]
		v, there := o.vms[id]
		if !there || v.unread || v.unclaimed == "" || e.op != nil || c.ledger.left(c.spec, e, now) || e.cloned.IsZero() ||
			!o.at.After(e.cloned) || !v.readAt.After(e.cloned) {
			continue
		}
		c.log.Error("runner disowned", "runner", e.name, "vmid", id, "node", e.node, "pool", e.pool,
			"reason", fmt.Sprintf("VM %d isn't provably ours any more (%s); it is left alone", id, v.unclaimed))
		c.forget(e, now)
	}
}
