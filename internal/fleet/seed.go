package fleet

import (
	"context"
	"fmt"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// seed mints an identity and puts it where the VM finds it when it starts. It is minted last before the start, and
// removed when the start task has ended, or, where the guest reads it itself, when it has. What undoes it: the VM goes,
// with the registration and the file.
func (c *Controller) seed(ctx context.Context, a action) outcome {
	cfg, err := c.pve.VMConfig(ctx, a.node, a.vmid)
	if err != nil {
		return c.stepFailed(fmt.Errorf("runner %s: read config of VM %d: %w", a.name, a.vmid, err))
	}
	if err := freshlyOurs(a, cfg); err != nil {
		return c.disowned(cfg, err)
	}
	id, err := c.mint(ctx, a)
	if err != nil {
		return c.notMinted(a, fmt.Errorf("runner %s: mint identity: %w", a.name, err))
	}
	apply := done(func(e *entry, now time.Time) {
		e.seeded = now
		c.recovered(e.pool)
	})
	if err := c.plant(ctx, a, cfg, id); err != nil {
		apply = c.giveUp(fmt.Errorf("runner %s: %w", a.name, err))
	}
	return func(e *entry, now time.Time) {
		e.registration, e.target = id.RegistrationID, a.target
		delete(c.ledger.refusals, a.target)
		apply(e, now)
	}
}

// mint makes the identity that the user-data asks for.
func (c *Controller) mint(ctx context.Context, a action) (handoff.SeedIdentity, error) {
	if c.seeders[a.way].Needs() != cloudinit.NeedsRegistrationToken {
		id, err := c.gh.CreateJITConfig(ctx, a.target, a.name, c.fixed.labels(*a.pool), a.pool.GroupID)
		return handoff.SeedIdentity{Identity: id}, err
	}
	token, err := c.gh.CreateRegistrationToken(ctx, a.target)
	return handoff.SeedIdentity{Identity: runner.Identity{Name: a.name, MintedAt: time.Now()}, RegistrationToken: token.Token}, err
}

// plant writes the user-data and names it in the VM's config. Both may be repeated.
func (c *Controller) plant(ctx context.Context, a action, cfg proxmox.VMConfig, id handoff.SeedIdentity) error {
	set, err := c.seeders[a.way].Prepare(ctx, handoff.SeedGuest{
		VM: handoff.VM{Node: a.node, VMID: a.vmid}, User: a.pool.RunnerUser, Labels: c.fixed.labels(*a.pool),
		RepoURL: c.spec.WebURL + "/" + a.target.String(), Config: cfg.Values,
		Pool: a.pool.Name, Policy: a.pool.Jobs,
	}, id)
	if err != nil {
		return err
	}
	for {
		err := c.pve.SetConfig(ctx, a.node, a.vmid, set, nil, "")
		if err == nil || !passing(err) {
			return wrap(err, "attach user-data to VM %d", a.vmid)
		}
		select {
		case <-ctx.Done():
			return wrap(err, "attach user-data to VM %d", a.vmid)
		case <-time.After(c.spec.Timing.ProbeRetry):
		}
	}
}

// wrap adds what was tried to an error, if there is one.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// reap removes a runner's user-data, which nobody needs any more. It is called from steps, because a network mount may
// hold it. What stays, a sweep finds.
func (c *Controller) reap(ctx context.Context, a action) {
	ctx, cancel := context.WithTimeout(ctx, reapTimeout)
	defer cancel()
	for _, way := range sortedKeys(c.seeders) {
		s := c.seeders[way]
		if s.Lasts() && !a.medium || a.way != "" && a.way != way {
			continue
		}
		if err := s.Clear(ctx, a.name); err != nil {
			c.log.Warn("user-data stays", "runner", a.name, "reason", err)
		}
	}
}

// reapTimeout bounds that: a storage that doesn't answer must not keep a VM.
const reapTimeout = time.Minute

const (
	// sweepEvery is how often user-data that a crash left is looked for, and sweepTimeout how long one look may take.
	sweepEvery   = 5 * time.Minute
	sweepTimeout = 2 * time.Minute
	// sweepAge is how old it must be: longer than a VM takes from the writing of it to the end of its start.
	sweepAge = 10 * time.Minute
)

// sweep removes user-data whose runner isn't ours any more.
func (c *Controller) sweep(ctx context.Context, now time.Time) {
	if len(c.seeders) == 0 || now.Before(c.nextSweep) || c.seen.at.IsZero() || c.seen.err != nil {
		return
	}
	c.nextSweep = now.Add(sweepEvery)
	if _, standby := c.ledger.leader(c.spec, now); standby {
		return
	}
	starting, reading := map[string]bool{}, map[string]bool{}
	for _, e := range c.ledger.runners {
		starting[e.name] = e.started.IsZero() // of one that has started nobody reads a snippet any more
		reading[e.name] = e.medium && e.online.IsZero()
	}
	booting := sweepAge // and where the guest reads it, the boot comes on top
	for _, p := range c.spec.Pools {
		booting = max(booting, sweepAge+p.BootTimeout)
	}
	c.steps.Go(func() {
		c.sequence.Turn(ctx, "sweep")
		ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
		defer cancel()
		for _, way := range sortedKeys(c.seeders) {
			s := c.seeders[way]
			alive, age := starting, sweepAge
			if s.Lasts() {
				alive, age = reading, booting
			}
			removed, err := s.Sweep(ctx, func(name string) bool { return alive[name] }, age)
			c.send(ctx, func(time.Time) {
				for _, file := range removed {
					c.log.Info("user-data swept", "file", file)
				}
				if err != nil {
					c.log.Warn("user-data not swept", "reason", err)
				}
			})
		}
	})
}

var _ Minter = (*github.Client)(nil)
