package image

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

const (
	// canaryPatience bounds the canary's boot, as pools' boot_timeout does; a slow first boot gets twice as long.
	canaryPatience = 10 * time.Minute
	// canaryPoll is how often it is probed.
	canaryPoll = 10 * time.Second
)

// errImage says that what was built can't be a runner.
var errImage = errors.New("the new image is no runner")

// check boots a clone of the template, asks it what it is, and destroys it: what a runner will go through, without a job.
func (p *part) check(ctx context.Context) error {
	p.tell.stage(StageCheck, "boots a clone")
	id, err := p.canary(ctx)
	if err != nil {
		return fmt.Errorf("clone VM %d: %w", p.vmid, err)
	}
	if err := p.b.start(ctx, p.node, id); err != nil {
		return fmt.Errorf("start clone %d: %w", id, err)
	}
	if p.guest, err = p.probe(ctx, id); err != nil {
		return err
	}
	if err := p.b.power(ctx, p.node, id, "qmstop", p.b.pve.Stop); err != nil {
		return fmt.Errorf("stop clone %d: %w", id, err)
	}
	if err := p.b.power(ctx, p.node, id, "qmdestroy", p.b.pve.Delete); err != nil && !gone(err) {
		return fmt.Errorf("destroy clone %d: %w", id, err)
	}
	return nil
}

// canary makes the clone: linked, as runners are, or full where the storage has no linked clones.
func (p *part) canary(ctx context.Context) (int, error) {
	full := false
	for {
		id, err := p.allot(ctx)
		if err != nil {
			return 0, err
		}
		err = p.b.do(ctx, order{
			node: p.node, typ: "qmclone", id: strconv.Itoa(p.vmid), patience: importPatience,
			send: func(ctx context.Context) (proxmox.UPID, error) {
				return p.b.pve.Clone(ctx, p.node, p.vmid, proxmox.CloneOptions{
					NewID: id, Name: runner.TemplateName(p.request.Image, p.version) + "-check", Description: p.marker(id).Description(),
					Pool: p.b.spec.ResourcePool, Full: full,
				})
			},
		})
		switch {
		case err == nil:
			return id, nil
		case errors.Is(err, proxmox.Exists):
		case errors.Is(err, proxmox.BadParameter) && !full:
			full = true // "Linked clone feature is not supported"
		default:
			return 0, err
		}
	}
}

// probe waits until the clone says that it may take an identity, and compares what it says with what was wanted.
func (p *part) probe(ctx context.Context, id int) (handoff.Guest, error) {
	agent := handoff.NewAgent(p.b.pve, handoff.AgentOptions{})
	until := time.Now().Add(canaryPatience)
	for {
		g, err := agent.Probe(ctx, handoff.VM{Node: p.node, VMID: id})
		switch {
		case err == nil:
			return g, p.compare(g)
		case ctx.Err() != nil:
			return handoff.Guest{}, context.Cause(ctx)
		case errors.Is(err, handoff.ErrImage):
			return handoff.Guest{}, fmt.Errorf("%w: %w", errImage, err)
		case time.Now().After(until):
			return handoff.Guest{}, fmt.Errorf("%w: its clone %d wasn't ready %s after its start: %w", errImage, id, canaryPatience, err)
		}
		if st, err := p.b.pve.VMStatus(ctx, p.node, id); err == nil && st.Status == "stopped" {
			return handoff.Guest{}, fmt.Errorf("%w: its clone %d powered off by itself before it was ready", errImage, id)
		}
		if !pause(ctx, canaryPoll) {
			return handoff.Guest{}, context.Cause(ctx)
		}
	}
}

func (p *part) compare(g handoff.Guest) error {
	switch {
	case g.State != handoff.Ready:
		return fmt.Errorf("%w: it says %q, not that it is ready", errImage, g.State)
	case g.RunnerVersion != p.request.Release.Version:
		return fmt.Errorf("%w: it has runner %q, not %s; the scripts did not get that far", errImage, g.RunnerVersion, p.request.Release.Version)
	}
	return nil
}

// gone reports whether the error says that a VM isn't there, which is what one wanted. A token bound to a resource pool is
// told Permission of a VM that has left it by its removal.
func gone(err error) bool {
	return errors.Is(err, proxmox.NotFound)
}
