package image

import (
	"context"
	"errors"
	"fmt"

	"mayfly/internal/canary"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// errImage says that what was built can't be a runner.
var errImage = errors.New("the new image is no runner")

// check boots a clone of the template, asks it what it is, and destroys it: what a runner will go through, without a job.
func (p *part) check(ctx context.Context) error {
	p.tell.stage(StageCheck, "boots a clone")
	id, g, err := p.b.orders.Boot(ctx, canary.Trial{
		Node: p.node, Template: p.vmid, Name: runner.TemplateName(p.request.Image, p.version) + "-check", Pool: p.b.spec.ResourcePool,
		Allot: p.allot, Notes: func(vmid int) string { return p.marker(vmid).Description() },
	})
	if errors.Is(err, canary.ErrUnfit) {
		return fmt.Errorf("%w: %w", errImage, err)
	}
	if err != nil {
		return err
	}
	p.guest = g
	if err := p.compare(g); err != nil {
		return err
	}
	return p.b.orders.Remove(ctx, p.node, id)
}

func (p *part) compare(g handoff.Guest) error {
	if g.RunnerVersion != p.request.Release.Version {
		return fmt.Errorf("%w: it has runner %q, not %s; the scripts did not get that far", errImage, g.RunnerVersion, p.request.Release.Version)
	}
	return nil
}

// gone reports whether the error says that a VM isn't there, which is what one wanted. A token bound to a resource pool is
// told Permission of a VM that has left it by its removal.
func gone(err error) bool {
	return errors.Is(err, proxmox.NotFound)
}
