package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/proxmox"
)

// eject takes the medium that a guest got its identity from out of its drive, and off the storage. It is done when
// neither has it any more. Both parts may be repeated, so a lost reply is answered by doing it again.
func (c *Controller) eject(ctx context.Context, a action) outcome {
	cfg, err := c.pve.VMConfig(ctx, a.node, a.vmid)
	if err != nil {
		return c.notEjected(fmt.Errorf("read config of VM %d: %w", a.vmid, err))
	}
	if _, ended := c.claimed(cfg, a); ended != nil {
		return ended
	}
	ejected := false
	for _, way := range sortedKeys(c.seeders) {
		s := c.seeders[way]
		if !s.Lasts() || a.way != "" && a.way != way {
			continue
		}
		if set := s.Eject(cfg.Values, a.name); len(set) > 0 {
			err := c.pve.SetConfig(ctx, a.node, a.vmid, set, nil, cfg.Digest)
			if err != nil {
				return c.notEjected(fmt.Errorf("eject user-data of VM %d: %w", a.vmid, err))
			}
			ejected = true
		}
		if err := s.Clear(ctx, a.name); err != nil {
			return c.notEjected(err)
		}
	}
	return func(e *entry, _ time.Time) {
		e.medium, e.ejectTries = false, 0
		if took := e.online.Sub(e.started); !e.adopted && took > 0 {
			c.ledger.learnBoot(a.pool.Base(), took)
		}
		if ejected {
			c.log.Info("user-data ejected", "runner", e.name, "vmid", e.vmid, "node", e.node)
		}
	}
}

// noteMedium tells the seeders of the medium in a VM that is about to go: after a restart only its config knows the file.
func (c *Controller) noteMedium(cfg proxmox.VMConfig, a action) {
	for _, s := range c.seeders {
		if s.Lasts() && a.medium {
			s.Eject(cfg.Values, a.name)
		}
	}
}

// notEjected tries again later: a runner that has its identity isn't given up for that.
func (c *Controller) notEjected(err error) outcome {
	return func(e *entry, now time.Time) {
		e.ejectTries++
		e.ejectAfter = now.Add(deferred(c.spec.Timing, e.ejectTries))
		if errors.Is(err, proxmox.NotFound) || errors.Is(err, context.DeadlineExceeded) && e.ejectTries == 1 {
			return // gone, moved or slow: the next look tells
		}
		c.log.Warn("user-data stays, will be tried again", "runner", e.name, "vmid", e.vmid, "node", e.node, "reason", err)
	}
}

// mustEject reports whether a runner's medium can go: its guest has read it, because it is on GitHub's list.
func (p *planner) mustEject(e *entry) bool {
	if !e.medium || e.started.IsZero() || !p.s.lasting {
		return false
	}
	if e.online.IsZero() && e.busy.IsZero() && e.finished.IsZero() {
		p.hurry(e)
		return false
	}
	if p.now.Before(e.ejectAfter) {
		p.wakeAt(e.ejectAfter)
		return false
	}
	return true
}

// hurry has GitHub read before its time when the guest should be up, so that a job finds no medium: its runner may get
// one a moment after it is online.
func (p *planner) hurry(e *entry) {
	if due := e.started.Add(p.usualBoot(e)); p.now.Before(due) {
		p.wakeAt(due)
		return
	}
	p.d.github = true
}
