package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// lookAge is how old the look at a VM's config may be when the VM is deleted: Proxmox's DELETE takes no digest, so whoever made
// the VM his own since then loses it. Asking GitHub and stopping the VM may take longer, and it is looked at again.
const lookAge = time.Second

// destroy ends a runner: its registration first, because GitHub's refusal is the only race-free word on whether a job
// has just landed on it, then the VM. It is done when the qmdestroy task ended well, or the VM isn't there. Each part
// may be repeated.
func (c *Controller) destroy(ctx context.Context, a action) outcome {
	cfg, marker, ended := c.provenOurs(ctx, a)
	if ended != nil {
		return ended
	}
	read := time.Now()
	held, err := c.deregister(ctx, a, cfg, marker)
	switch {
	case err != nil && (!a.force || !a.stopped && outOfStep(err)):
		return c.again(fmt.Errorf("runner %s: deregister: %w", a.name, err))
	case held.busy && !a.force:
		return c.kept(held)
	}
	c.noteMedium(cfg, a)
	c.reap(ctx, a)
	if !a.stopped {
		if err := c.stopVM(ctx, a); err != nil {
			return c.indebted(a, held, c.stuck(err))
		}
	}
	if !a.stopped || time.Since(read) > lookAge {
		if _, _, ended := c.provenOurs(ctx, a); ended != nil {
			return c.indebted(a, held, ended)
		}
	}
	err = c.destroyVM(ctx, a)
	if a.stopped && errors.Is(err, proxmox.Busy) {
		// Its lock is held, or it has been started since the last look: what was read and asked before counts no more.
		a.stopped, a.force = false, false
		return runsAfterAll(c.destroy(ctx, a))
	}
	if err != nil {
		return c.indebted(a, held, c.stuck(err))
	}
	return c.indebted(a, held, c.spent(a, held))
}

// runsAfterAll takes back that a VM had powered off which no look has ever shown running: it was found stopped after a restart, and
// its start was under way.
func runsAfterAll(apply outcome) outcome {
	return func(e *entry, now time.Time) {
		if e.adopted && e.started.IsZero() {
			e.started, e.stopped = now, time.Time{}
		}
		apply(e, now)
	}
}

// outOfStep reports whether the request was only held back by the pace of changes, for a moment: whatever still runs in a VM can wait
// for so long.
func outOfStep(err error) bool {
	at := retryAt(err)
	return !at.IsZero() && time.Until(at) < shortDelay
}

// provenOurs reads the VM's config and proves by it that the VM is the runner's; else it gives the outcome, which is the end of
// the attempt.
func (c *Controller) provenOurs(ctx context.Context, a action) (proxmox.VMConfig, runner.Marker, outcome) {
	cfg, err := c.pve.VMConfig(ctx, a.node, a.vmid)
	if errors.Is(err, proxmox.NotFound) || errors.Is(err, proxmox.Permission) {
		// Pool membership goes with the VM, so a pool-scoped token gets 403 for a VM that is gone (facts: C5).
		if free, freeErr := c.pve.VMIDFree(ctx, a.vmid); freeErr == nil && free {
			return cfg, runner.Marker{}, c.gone()
		}
	}
	if err != nil {
		return cfg, runner.Marker{}, c.again(fmt.Errorf("runner %s: read config of VM %d before destroying it: %w", a.name, a.vmid, err))
	}
	marker, ended := c.claimed(cfg, a)
	if ended != nil {
		return cfg, marker, ended
	}
	if marker.Runner != a.name {
		return cfg, marker, c.shown(cfg, c.succeeded(a, marker))
	}
	return cfg, marker, nil
}

// kept is the outcome of GitHub's refusal: a job has just landed on the runner, so it has its identity and works.
func (c *Controller) kept(held registered) outcome {
	return func(e *entry, now time.Time) {
		e.failed, e.swept, e.registration, e.target = "", false, held.id, held.target
		for _, milestone := range []*time.Time{&e.ready, &e.delivered, &e.online, &e.busy} {
			if milestone.IsZero() {
				*milestone = now
			}
		}
		c.log.Info("runner kept", "runner", e.name, "vmid", e.vmid, "reason", "a job has just landed on it")
	}
}

// destroyVM deletes a VM that doesn't run.
func (c *Controller) destroyVM(ctx context.Context, a action) error {
	err := c.deleteVM(ctx, a)
	if err == nil || errors.Is(err, proxmox.NotFound) {
		return nil
	}
	// A reply that was lost, a VM that vanished meanwhile: what is there now decides.
	if free, freeErr := c.pve.VMIDFree(ctx, a.vmid); freeErr == nil && free {
		return nil
	}
	return fmt.Errorf("runner %s: destroy VM %d on %s: %w", a.name, a.vmid, a.node, err)
}

func (c *Controller) deleteVM(ctx context.Context, a action) error {
	return c.order(ctx, a, typeDestroy, c.pve.Delete)
}

func (c *Controller) stopVM(ctx context.Context, a action) error {
	ctx, cancel := context.WithTimeout(ctx, c.spec.Timing.Stop)
	defer cancel()
	err := c.order(ctx, a, typeStop, c.pve.Stop)
	if err != nil && !errors.Is(err, proxmox.NotFound) {
		return fmt.Errorf("runner %s: stop VM %d on %s: %w", a.name, a.vmid, a.node, err)
	}
	return nil
}

// gone is the end of a runner.
func (c *Controller) gone() outcome {
	return func(e *entry, now time.Time) { c.forget(e, now) }
}

// indebted notes a registration that outlives its VM: GitHub still holds it busy, or could not be asked.
func (c *Controller) indebted(a action, held registered, apply outcome) outcome {
	if held.id == 0 {
		return apply
	}
	return func(e *entry, now time.Time) {
		if _, known := c.ledger.removals[held.id]; !known {
			c.ledger.removals[held.id] = removal{target: held.target, name: a.name, since: now, next: now}
		}
		apply(e, now)
	}
}

// stuck keeps a VM that can't be destroyed, tries again with growing waits, and never counts it as done.
func (c *Controller) stuck(err error) outcome {
	return func(e *entry, now time.Time) {
		c.progress.stuck(e, err)
		e.tries++
		e.failed = err.Error()
		e.lastWord = e.failed
		e.notUntil = now.Add(deferred(c.spec.Timing, e.tries))
		level := slog.LevelError
		if passing(err) && e.tries < maxTries {
			level = slog.LevelWarn
		}
		c.log.Log(context.Background(), level, "destroy failed, will be tried again", "runner", e.name, "vmid", e.vmid, "node", e.node, "reason", err)
	}
}

// quarantineLocked sets aside VMs of ours whose lock no token can remove: a clone or destroy that was killed midway.
func (c *Controller) quarantineLocked(o supply, now time.Time) {
	l := c.ledger
	for id, q := range l.quarantined {
		v, there := o.vms[id]
		if there && v.lock == "" || o.free[id] || !there && !q.hidden && !o.taken[id] {
			delete(l.quarantined, id)
			if !there {
				l.lastUsed[id] = o.at // its VM was there until about now
			}
			c.log.Info("quarantine over", "vmid", id)
		}
	}
	for _, id := range sortedKeys(o.vms) {
		v := o.vms[id]
		if v.lock != "clone" && v.lock != "create" && v.lock != "destroyed" {
			continue
		}
		e := l.runners[id]
		atWork := e != nil && (e.op != nil || e.cloned.IsZero()) // ours, or a task's that a restart found
		atWork = atWork || e != nil && l.left(c.spec, e, now)    // or another dispatcher's
		if atWork || e == nil && v.unclaimed != "" || l.isQuarantined(id) {
			continue
		}
		c.quarantine(Quarantine{
			VMID: id, Node: v.node, Since: now, Why: "lock: " + v.lock + " was left by a task that was killed",
		})
		if e != nil {
			delete(l.runners, id)
			c.noteGone(e, now)
		}
	}
}

// quarantine sets a VMID aside and says what the admin has to type.
func (c *Controller) quarantine(q Quarantine) {
	if q.Command == "" {
		q.Command = fmt.Sprintf("qm unlock %d && qm destroy %d --purge", q.VMID, q.VMID)
	}
	c.ledger.quarantined[q.VMID] = q
	c.log.Error("vm quarantined", "vmid", q.VMID, "node", q.Node, "reason", q.Why, "next", "on node "+q.Node+" run: "+q.Command)
}

// hiddenQuarantine lists the quarantined VMIDs that only a look-up of the VMID itself can free.
func (l *ledger) hiddenQuarantine() []int {
	var ids []int
	for _, id := range sortedKeys(l.quarantined) {
		if l.quarantined[id].hidden {
			ids = append(ids, id)
		}
	}
	return ids
}
