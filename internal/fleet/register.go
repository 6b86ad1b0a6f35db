package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// register mints an identity and delivers it at once. A reply that GitHub lost leaves a registration that nobody has
// the key of; it is removed with the VM, because a name is never used twice.
func (c *Controller) register(ctx context.Context, a action) outcome {
	id, err := c.gh.CreateJITConfig(ctx, a.target, a.name, c.fixed.labels(*a.pool), a.pool.GroupID)
	if err != nil {
		return c.notMinted(a, fmt.Errorf("runner %s: mint identity: %w", a.name, err))
	}
	apply := done(func(e *entry, now time.Time) {
		e.delivered = now
		c.recovered(e.pool)
	})
	if err := c.deliver(ctx, a, id); err != nil {
		apply = c.giveUp(fmt.Errorf("runner %s: %w", a.name, err))
	}
	return func(e *entry, now time.Time) {
		e.registration, e.target = id.RegistrationID, a.target
		delete(c.ledger.refusals, a.target)
		apply(e, now)
	}
}

// deliver brings the identity into the guest, as often as the step's time allows: a second delivery of the same identity
// changes nothing.
func (c *Controller) deliver(ctx context.Context, a action, id runner.Identity) error {
	order := handoff.Order{User: a.pool.RunnerUser, Pool: a.pool.Name, Policy: a.pool.Jobs, Contract: a.contract}
	for {
		err := c.handoff.Deliver(ctx, handoff.VM{Node: a.node, VMID: a.vmid}, order, id)
		if err == nil || !passing(err) || errors.Is(err, handoff.ErrImage) || errors.Is(err, handoff.ErrTaken) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(c.spec.Timing.ProbeRetry):
		}
	}
}

// notMinted sorts out why there is no identity. Where GitHub surely made none, the booted VM waits for the next try;
// otherwise it goes, with whatever registration has its name.
func (c *Controller) notMinted(a action, err error) outcome {
	maybe := errors.Is(err, github.MaybeHappened) || errors.Is(err, github.Exists) || errors.Is(err, context.DeadlineExceeded)
	switch {
	case errors.Is(err, github.RateLimited):
		return c.later(err, retryAt(err))
	case len(a.pool.More) > 0 && maybe:
		return c.blaming(err, func(_ *entry, now time.Time) { c.refused(a.target, err, now) })
	case len(a.pool.More) > 0:
		return c.unbound(a.target, err)
	case !maybe && errors.Is(err, github.Unavailable):
		return c.again(err)
	}
	return c.giveUp(err)
}

// why says what is wrong with the registration, as far as that is known.
func (r removal) why() string {
	if r.spent != nil {
		return "its VM is gone"
	}
	return "its VM died with a job"
}

// removeRegistration removes a registration that has no VM any more.
func (c *Controller) removeRegistration(ctx context.Context, a action, now time.Time) {
	r, known := c.ledger.removals[a.registration]
	if !known {
		r = removal{target: a.target, name: a.name, since: now}
	}
	r.next = now.Add(removeRetry)
	c.ledger.removals[a.registration] = r
	c.steps.Go(func() {
		c.sequence.Turn(ctx, fmt.Sprintf("%s %d", StepRemove, a.registration))
		ctx, cancel := context.WithTimeout(ctx, c.spec.Timing.Configure)
		defer cancel()
		err := c.gh.RemoveRunner(ctx, a.target, a.registration)
		c.send(ctx, func(now time.Time) { c.removed(a, r, err, now) })
	})
}

const (
	// removeRetry is how often a registration that GitHub holds busy is tried again.
	removeRetry = 30 * time.Second
	// removeLimit is when that is given up: GitHub lets go of a dead runner's job after 10 to 15 minutes, and the
	// list of orphans brings it back later anyway.
	removeLimit = 30 * time.Minute
)

func (c *Controller) removed(a action, r removal, err error, now time.Time) {
	switch {
	case err == nil || errors.Is(err, github.NotFound):
		if err == nil && r.spent != nil {
			c.hadNoJob(r.spent, now)
		}
		delete(c.ledger.removals, a.registration)
		delete(c.ledger.orphans, a.registration)
		c.log.Info("registration removed", "runner", a.name, "reason", a.why)
	case now.Sub(r.since) > removeLimit:
		delete(c.ledger.removals, a.registration)
		c.log.Warn("registration stays", "runner", a.name, "reason", err)
	default:
		c.log.Debug("registration not removed yet", "runner", a.name, "reason", err)
	}
}

// registered is a registration that could not be removed; its zero value is none.
type registered struct {
	target runner.Target
	id     int64
	busy   bool // GitHub refused because of a job
	// removed says that it was there and is no more.
	removed bool
}

// deregister makes sure that no job can land on the runner any more, and returns what is in the way of that. A
// registration whose id isn't known (a restart, a lost reply) is looked for by the runner's name. Where it isn't sure that
// the guest has got its identity, the VM is marked first.
func (c *Controller) deregister(ctx context.Context, a action, cfg proxmox.VMConfig, marker runner.Marker) (registered, error) {
	held, err := c.findHeld(ctx, a)
	if err != nil || held.id == 0 {
		return registered{}, err
	}
	if a.unsure && !marker.Ends {
		if err := c.markEnding(ctx, a, cfg, marker); err != nil {
			return held, err
		}
	}
	return c.removeHeld(ctx, held)
}

// markEnding notes in the VM that its life is over. Without that the next process, after a crash between here and the
// VM's end, would find a ready guest without a registration and mint a second identity for it.
func (c *Controller) markEnding(ctx context.Context, a action, cfg proxmox.VMConfig, marker runner.Marker) error {
	marker.Ends = true
	set := map[string]string{"description": marker.Description()}
	return wrap(c.pve.SetConfig(ctx, a.node, a.vmid, set, nil, cfg.Digest), "note in VM %d that it ends", a.vmid)
}

// findHeld finds the registration that is to be removed; without an id when there is none.
func (c *Controller) findHeld(ctx context.Context, a action) (registered, error) {
	if a.registration != 0 {
		return registered{target: a.target, id: a.registration}, nil
	}
	for _, t := range a.lookIn {
		r, err := c.gh.RunnerByName(ctx, t, a.name)
		switch {
		case err == nil:
			return registered{target: t, id: r.ID}, nil
		case !errors.Is(err, github.NotFound):
			return registered{}, err
		}
	}
	if a.works != 0 && !a.force { // a list of runners may lack some (facts: github H)
		return registered{}, fmt.Errorf("%w: GitHub lists no runner %s, on which job %d runs", github.Unavailable, a.name, a.works)
	}
	return registered{}, nil
}

func (c *Controller) removeHeld(ctx context.Context, r registered) (registered, error) {
	err := c.gh.RemoveRunner(ctx, r.target, r.id)
	switch {
	case err == nil:
		return registered{removed: true}, nil
	case errors.Is(err, github.NotFound):
		return registered{}, nil
	case errors.Is(err, github.Busy):
		r.busy = true
		return r, nil
	case errors.Is(err, github.MaybeHappened), errors.Is(err, github.Unavailable):
		if _, look := c.gh.Runner(ctx, r.target, r.id); errors.Is(look, github.NotFound) {
			return registered{}, nil
		}
	}
	return r, err
}
