package bootstrap

import (
	"context"
	"fmt"
	"regexp"
	"time"
)

// sweep removes what bootstraps have left that were killed: containers that never served or were replaced, and one-off
// templates. The volume of the state goes back to the container that serves.
func (r *run) sweep(ctx context.Context, there *survey) error {
	for _, o := range there.remains {
		r.step(fmt.Sprintf("clean up container %d of a bootstrap that was interrupted", o.vmid))
		w := &work{Making: Making{Node: o.node}, api: r.Proxmox}
		if err := w.cut(ctx, o.vmid); err != nil {
			return fmt.Errorf("clean up container %d: %w", o.vmid, err)
		}
		if c := there.current; c != nil && o.config.Values[stateKey] != "" && c.config.Values[stateKey] == "" && o.node == c.node {
			if err := w.stop(ctx, c.vmid); err != nil {
				return fmt.Errorf("clean up container %d: %w", o.vmid, err)
			}
			if err := w.move(ctx, o.vmid, c.vmid); err != nil {
				return fmt.Errorf("clean up container %d: %w", o.vmid, err)
			}
			c.config.Values[stateKey] = o.config.Values[stateKey]
		}
		if err := w.destroy(ctx, o.vmid); err != nil {
			return fmt.Errorf("clean up container %d: %w", o.vmid, err)
		}
	}
	return r.sweepTemplates(ctx)
}

// finish does what a bootstrap didn't come to that was killed when its dispatcher was ready.
func (r *run) finish(ctx context.Context, there *survey) error {
	if err := r.sweep(ctx, there); err != nil {
		return err
	}
	c := there.current
	if c.config.Values["onboot"] == "1" {
		return nil
	}
	w := &work{Making: Making{Node: c.node}, api: r.Proxmox}
	return w.setConfig(ctx, c.vmid, map[string]string{"onboot": "1"})
}

// ownTemplate is a one-off template's name, and whose it is.
var ownTemplate = regexp.MustCompile(`^mayfly-\d+-([0-9a-f]{12}-)[0-9a-f]{12}\.tar\.zst$`)

func (r *run) sweepTemplates(ctx context.Context) error {
	s := r.spec
	list, err := r.Proxmox.Volumes(ctx, s.Node, s.TemplateStorage, "vztmpl")
	if err != nil {
		return fmt.Errorf("look for templates of bootstraps that were interrupted: %w", err)
	}
	for _, v := range list {
		m := ownTemplate.FindStringSubmatch(v.Name())
		// A young one may be another bootstrap's that hasn't made its container yet.
		if len(m) < 2 || m[1] != ownedBy(s.Installation) || !s.TakeOver && time.Since(v.Created) < young {
			continue
		}
		r.step("delete " + v.ID + " of a bootstrap that was interrupted")
		if err := deleteVolume(ctx, r.Proxmox, s.Node, v.ID); err != nil {
			return fmt.Errorf("clean up: %w", err)
		}
	}
	return nil
}
