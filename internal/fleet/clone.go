package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// clone makes the VM. It is done when the qmclone task ended well; before that the VM has no marker and a
// pool-scoped token can't see it. What undoes it: a failed clone frees its disk itself; one that was killed leaves a
// lock that only an admin can remove, and its VMID is set aside.
func (c *Controller) clone(ctx context.Context, a action) outcome {
	free, err := c.pve.VMIDFree(ctx, a.vmid)
	if err != nil {
		return c.notCloned(fmt.Errorf("runner %s: see whether VMID %d is free: %w", a.name, a.vmid, err))
	}
	if !free {
		return c.taken(fmt.Errorf("runner %s: VMID %d is taken by something that this token can't see", a.name, a.vmid))
	}
	marker := runner.Marker{
		Installation: c.spec.Installation, Runner: a.name, VMID: a.vmid, Pool: a.pool.Name,
		Created: time.Now(), Version: c.version, Template: a.template.id,
		Process: c.process, Shape: a.shape,
	}
	asked := time.Now()
	options := proxmox.CloneOptions{NewID: a.vmid, Name: a.name, Description: marker.Description(), Pool: c.spec.ResourcePool, Full: a.full}
	if a.full {
		options.Storage = a.pool.Storage
	}
	if a.source() != a.node {
		options.Target = a.node // its template is on a storage that both see
	}
	upid, err := c.pve.Clone(ctx, a.source(), a.template.id, options)
	if errors.Is(err, proxmox.MaybeHappened) {
		upid, err = c.findClone(ctx, a, asked, err)
	}
	if err != nil {
		err = fmt.Errorf("runner %s: clone template %d to VM %d on %s: %w", a.name, a.template.id, a.vmid, a.node, err)
		if errors.Is(err, proxmox.Exists) {
			return c.taken(err)
		}
		return c.notCloned(err)
	}
	return c.cloned(ctx, a, upid)
}

// source is the node whose template is cloned, and which does the work.
func (a action) source() string { return cmp.Or(a.template.node, a.node) }

// follow waits for a clone that was asked for before a restart. Its name and pool come with the marker, when it is
// complete; it was surely never started, so it goes on as any other.
func (c *Controller) follow(ctx context.Context, a action) outcome {
	apply := c.cloned(ctx, a, a.task.upid)
	cfg, err := c.pve.VMConfig(ctx, a.node, a.vmid)
	marker, markerErr := runner.ParseMarker(cfg.Description)
	return func(e *entry, now time.Time) {
		apply(e, now)
		if c.ledger.runners[e.vmid] != e {
			return
		}
		if err != nil || markerErr != nil || marker.Installation != c.spec.Installation || marker.VMID != a.vmid {
			// Whatever it is, the looks that follow tell whose.
			delete(c.ledger.runners, e.vmid)
			return
		}
		e.name, e.pool, e.template, e.created, e.process, e.shape = marker.Runner, marker.Pool, marker.Template, marker.Created, marker.Process, marker.Shape
	}
}

// followEnd waits for a destroy that was asked for before a restart: until then the VM is there, though a pool-scoped
// token may not see it any more. What is left afterwards, if anything, later looks find.
func (c *Controller) followEnd(ctx context.Context, a action) outcome {
	if err := c.tasks.wait(ctx, a.task.upid); err != nil {
		c.log.Warn("destroy failed", "vmid", a.vmid, "node", a.node, "reason", err)
	}
	return c.gone()
}

// cloned waits for the clone task.
func (c *Controller) cloned(ctx context.Context, a action, upid proxmox.UPID) outcome {
	err := c.tasks.wait(ctx, upid)
	switch {
	case err == nil:
		return done(func(e *entry, now time.Time) {
			e.cloned = now
			if !e.adopted {
				c.ledger.lastMade = now
			}
		})
	case errors.Is(err, proxmox.Exists):
		return c.taken(err)
	case errors.Is(err, proxmox.TaskFailed):
		if free, look := c.pve.VMIDFree(ctx, a.vmid); look == nil && !free {
			return c.leftOver(a, err)
		}
	}
	return c.notCloned(fmt.Errorf("runner %s: clone to VM %d on %s: %w", a.name, a.vmid, a.node, err))
}

// findClone looks for the task of a clone whose reply was lost: our own qmclone tasks name the template, and the
// first line of their log the new VMID (facts: (e) 1 and 2).
func (c *Controller) findClone(ctx context.Context, a action, asked time.Time, lost error) (proxmox.UPID, error) {
	for {
		list, err := c.pve.Tasks(ctx, a.source(), proxmox.TaskFilter{
			Since: c.pve.NodeTime(asked).Add(-taskSlack), Type: "qmclone", VMID: a.template.id, Source: "all", Limit: taskLimit,
		})
		if err == nil {
			unsure := false // a worker writes that line a moment after its task is listed
			for _, t := range list {
				lines, err := c.pve.TaskLog(ctx, t.UPID, 0, 1)
				if errors.Is(err, proxmox.Permission) {
					continue // another token's
				}
				if err != nil || len(lines) == 0 {
					unsure = unsure || err != nil || t.Running
					continue
				}
				if vmid, ok := clonedTo(lines[0]); ok && vmid == a.vmid {
					return t.UPID, nil
				}
			}
			if !unsure {
				return "", lost
			}
		}
		select {
		case <-ctx.Done():
			return "", lost
		case <-time.After(c.spec.Timing.TaskPoll):
		}
	}
}

// notCloned ends a runner that never got a VM. Whatever there may be under its VMID is left alone: it is ours only
// when a later look finds our marker on it.
func (c *Controller) notCloned(err error) outcome {
	return func(e *entry, now time.Time) {
		c.progress.lost(e, causeOf(err))
		c.log.Error("clone failed", "runner", e.name, "vmid", e.vmid, "node", e.node, "pool", e.pool, "reason", err)
		if !c.strike(e, err, now) {
			c.hold(e, err.Error(), now)
		}
		if errors.Is(err, proxmox.MaybeHappened) || errors.Is(err, context.DeadlineExceeded) {
			// It may still come: a daemon that hung runs the request when it wakes. Look for its task.
			c.scanSince = e.created.Add(-taskSlack)
		}
		c.forget(e, now)
	}
}

// leftOver sets a VMID aside whose clone was killed midway: no token can unlock or remove what is left there.
func (c *Controller) leftOver(a action, err error) outcome {
	apply := c.notCloned(fmt.Errorf("runner %s: clone to VM %d on %s: %w", a.name, a.vmid, a.node, err))
	return func(e *entry, now time.Time) {
		apply(e, now)
		c.quarantine(Quarantine{
			VMID: a.vmid, Node: a.node, Since: now, Why: "its clone was killed midway (" + err.Error() + ")", hidden: true,
		})
	}
}

// taken ends a runner whose VMID turned out to be somebody's. Nothing is wrong with the pool, so another VMID is
// tried at once.
func (c *Controller) taken(err error) outcome {
	return func(e *entry, now time.Time) {
		c.progress.lost(e, causeOf(proxmox.Exists))
		c.log.Warn("vmid taken", "vmid", e.vmid, "node", e.node, "reason", err)
		c.ledger.heldBack[e.vmid] = now.Add(c.spec.Timing.Cooldown)
		c.forget(e, now)
	}
}
