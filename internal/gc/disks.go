package gc

import (
	"context"
	"errors"
	"fmt"

	"mayfly/internal/fleet"
)

// cleanDisks removes disks that destroys left.
func (g *run) cleanDisks(ctx context.Context) error {
	var problems []error
	for _, node := range g.nodes {
		disks, err := fleet.FindLeftDisks(ctx, g.o.Proxmox, g.o.Spec, node, g.at.Add(-fleet.LeftDiskMemory))
		if err != nil {
			problems = append(problems, fmt.Errorf("look for disks that were left on %s: %w", node, err))
		}
		for _, d := range disks {
			if !g.old(d.Since) {
				continue
			}
			f := Finding{Kind: Disk, Name: d.Volume, VMID: d.VMID, Node: d.Node, Since: d.Since, Why: "the destroy of its VM could not remove it"}
			if d.Unseen {
				f.Outcome, f.Detail = Left, fmt.Sprintf("the token lacks Datastore.Allocate to see or remove it; on node %s run, if it is still there: %s", d.Node, d.Command)
				g.tell(f)
				continue
			}
			g.remove(ctx, f, func(ctx context.Context) (Outcome, string) { return g.removeDisk(ctx, d) })
		}
	}
	return errors.Join(problems...)
}

func (g *run) removeDisk(ctx context.Context, d fleet.LeftDisk) (Outcome, string) {
	upid, err := fleet.RemoveLeftDisk(ctx, g.o.Proxmox, d)
	if err == nil {
		err = g.o.Proxmox.WaitTask(ctx, upid)
	}
	switch {
	case err == nil:
		return Removed, ""
	case errors.Is(err, fleet.ErrVMIDUsed):
		return Kept, err.Error()
	}
	return Failed, err.Error()
}
