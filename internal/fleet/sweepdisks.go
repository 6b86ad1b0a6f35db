package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mayfly/internal/proxmox"
)

const (
	// disksEvery is how often disks that destroys left are looked for, the first time disksFirst after the start, so that a
	// crash loop doesn't ask each time.
	disksEvery = time.Hour
	disksFirst = 10 * time.Minute
	// diskGrace is how long a disk stays after the destroy that left it: what held it may let go, and somebody may look.
	diskGrace = 30 * time.Minute
	// disksTimeout bounds one look, and the removal of one disk.
	disksTimeout = 10 * time.Minute
)

// LeftDiskMemory is how far back destroys are looked at for disks that they left. A token that may not see disks tells of each
// for so long.
const LeftDiskMemory = 7 * 24 * time.Hour

// sweepDisks looks for disks that destroys of ours left on their storage, and removes those that it may.
func (c *Controller) sweepDisks(ctx context.Context, now time.Time) {
	if c.nextDisks.IsZero() {
		c.nextDisks = c.startedAt.Add(disksFirst)
	}
	_, standby := c.ledger.leader(c.spec, now)
	if now.Before(c.nextDisks) || c.seen.at.IsZero() || c.seen.err != nil || standby || ending(c.ending.Load()) != goingOn {
		return
	}
	c.nextDisks = now.Add(disksEvery)
	nodes := slices.DeleteFunc(c.spec.order(c.seen.nodes), func(name string) bool { return c.seen.down(name) != "" })
	c.steps.Go(func() {
		c.sequence.Turn(ctx, "disks")
		looking, cancel := context.WithTimeout(ctx, disksTimeout)
		defer cancel()
		found := map[string][]LeftDisk{} // by node, of those that told
		for _, name := range nodes {
			on, err := FindLeftDisks(looking, c.pve, c.fixed, name, now.Add(-LeftDiskMemory))
			if err != nil {
				c.log.Warn("disks not looked for", "node", name, "reason", err)
				continue
			}
			found[name] = on
		}
		c.send(ctx, func(now time.Time) { c.tookDisks(ctx, found, now) })
	})
}

// tookDisks tells of disks that were found, and starts the removal of those whose time has come. Their VMIDs are held back
// meanwhile.
func (c *Controller) tookDisks(ctx context.Context, found map[string][]LeftDisk, now time.Time) {
	c.leftDisks = slices.DeleteFunc(c.leftDisks, func(d LeftDisk) bool { _, told := found[d.Node]; return told })
	for _, name := range sortedKeys(found) {
		c.leftDisks = append(c.leftDisks, found[name]...)
	}
	for i, d := range c.leftDisks {
		if _, told := found[d.Node]; !told {
			continue
		}
		if key := "disk " + d.Node + " " + d.Volume; !c.saidOnce[key] {
			c.saidOnce[key] = true
			c.log.Warn("disk left", "volume", d.Volume, "vmid", d.VMID, "node", d.Node, "reason",
				"the destroy of its VM could not remove it", "next", "on node "+d.Node+" run: "+d.Command)
		}
		switch {
		case d.Unseen:
			c.leftDisks[i].Why = "the token lacks Datastore.Allocate to see or remove it, so it may be gone by now"
		case now.Sub(d.Since) < diskGrace:
			c.leftDisks[i].Why = fmt.Sprintf("it is removed %s after the destroy", diskGrace)
		case c.ledger.runners[d.VMID] != nil || c.seen.taken[d.VMID]:
			c.leftDisks[i].Why = "a VM has its VMID"
		default:
			c.leftDisks[i].Why = "it is being removed"
			c.ledger.heldBack[d.VMID] = now.Add(disksTimeout)
			c.removeDisk(ctx, d)
		}
	}
}

func (c *Controller) removeDisk(ctx context.Context, d LeftDisk) {
	c.steps.Go(func() {
		c.sequence.Turn(ctx, "disk "+d.Node+" "+d.Volume)
		removing, cancel := context.WithTimeout(ctx, disksTimeout)
		defer cancel()
		upid, err := RemoveLeftDisk(removing, c.pve, d)
		if err == nil {
			err = c.tasks.wait(removing, upid)
		}
		c.send(ctx, func(time.Time) { c.removedDisk(d, err) })
	})
}

func (c *Controller) removedDisk(d LeftDisk, err error) {
	delete(c.ledger.heldBack, d.VMID)
	for i := range c.leftDisks {
		switch {
		case c.leftDisks[i].Volume != d.Volume || c.leftDisks[i].Node != d.Node:
		case err == nil:
			c.leftDisks = append(c.leftDisks[:i:i], c.leftDisks[i+1:]...)
			c.log.Info("disk removed", "volume", d.Volume, "vmid", d.VMID, "node", d.Node)
			return
		default:
			c.leftDisks[i].Why = err.Error()
		}
	}
	if !errors.Is(err, ErrVMIDUsed) && !errors.Is(err, proxmox.Permission) {
		c.log.Warn("disk not removed, will be tried again", "volume", d.Volume, "vmid", d.VMID, "node", d.Node, "reason", err)
	}
}
