package fleet

import (
	"fmt"
	"time"

	"mayfly/internal/proxmox"
)

// haltedAs gives QEMU's word for why a VM's processors stand still, as pvestatd last told it ("io-error" when its
// storage is full, "paused", "internal-error"; pve-manager PVE/Service/pvestatd.pm), or "". The node's own list, which
// says only running or stopped, must agree that it runs; under a lock (backup, migration) QEMU pauses VMs of its own
// accord.
func haltedAs(r proxmox.Resource, nodeSays string) string {
	switch r.Status {
	case "", "running", "stopped", "unknown":
		return ""
	}
	if nodeSays != "running" || r.Lock != "" {
		return ""
	}
	return r.Status
}

// watchHalted gives up runners whose VM stands still for longer than an accident: what runs in it is lost for GitHub
// after some minutes anyway, and nothing else would ever end it. A VMID that is used again shows its predecessor's word
// for up to 10 s, so a first sight proves nothing.
func (c *Controller) watchHalted(o supply, now time.Time) {
	for _, id := range sortedKeys(c.ledger.runners) {
		e := c.ledger.runners[id]
		v, there := o.vms[id]
		switch {
		case !there || e.op != nil && e.op.step != StepProbe || e.cloned.IsZero() || c.ledger.left(c.spec, e, now):
		case v.halted == "" && !e.halted.IsZero():
			e.halted, e.lastWord = time.Time{}, ""
			c.log.Info("vm goes on", "runner", e.name, "vmid", e.vmid, "node", e.node)
		case v.halted == "":
		case e.halted.IsZero():
			e.halted = o.at
			e.lastWord = fmt.Sprintf("Proxmox shows VM %d as %s", id, v.halted)
			c.log.Warn("vm halted", "runner", e.name, "vmid", e.vmid, "node", e.node, "reason", e.lastWord)
		case e.failed == "" && e.stopped.IsZero() && o.at.Sub(e.halted) >= c.spec.Timing.Halted:
			c.giveUp(fmt.Errorf("runner %s: VM %d on %s has been %s for %s: its storage is full or broken, or somebody paused it; see its node's storages",
				e.name, id, e.node, v.halted, o.at.Sub(e.halted).Round(time.Second)))(e, now)
		}
	}
}
