package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// probeTimeout bounds one question to a guest: the agent's 3 s, the command, and a busy host.
const probeTimeout = 45 * time.Second

// boot starts the VM; it is done when the qmstart task ended well. Starting a running VM fails with "already
// running", which is what we want.
func (c *Controller) boot(ctx context.Context, a action) outcome {
	err := c.order(ctx, a, "qmstart", c.pve.Start)
	if s := c.seeders[a.way]; a.seeded && s != nil && !s.Lasts() && !errors.Is(err, proxmox.MaybeHappened) {
		c.reap(ctx, a) // the start task has ended: nobody reads it any more
	}
	if err == nil || errors.Is(err, proxmox.Exists) {
		return done(func(e *entry, now time.Time) {
			e.started = now
			if a.seeded { // it has its identity; GitHub tells when it is up
				e.ready, e.delivered = now, now
			}
		})
	}
	return c.stepFailed(fmt.Errorf("runner %s: start VM %d on %s: %w", a.name, a.vmid, a.node, err))
}

// probe asks the guest whether it is ready.
func (c *Controller) probe(ctx context.Context, a action) outcome {
	g, err := c.handoff.Probe(ctx, handoff.VM{Node: a.node, VMID: a.vmid})
	switch {
	case errors.Is(err, handoff.ErrImage):
		return c.giveUp(fmt.Errorf("runner %s: %w", a.name, err))
	case errors.Is(err, proxmox.Permission), errors.Is(err, proxmox.NotFound) && !c.elsewhere(ctx, a):
		return c.giveUp(fmt.Errorf("runner %s: %w", a.name, err))
	case err != nil:
		// It boots, or it hangs: the boot deadline tells.
		return func(e *entry, now time.Time) {
			c.ledger.answered(e.node, err)
			e.probed = true
			if e.halted.IsZero() {
				e.lastWord = err.Error()
			}
			e.notUntil = now.Add(c.spec.Timing.ProbeRetry)
		}
	}
	result, over := runner.Result{}, false
	if g.State == handoff.Done { // found so after a restart
		result, over, err = c.handoff.Result(ctx, handoff.VM{Node: a.node, VMID: a.vmid})
	}
	learn := c.learn(ctx, a)
	return done(func(e *entry, now time.Time) {
		c.ledger.answered(e.node, nil)
		c.guestAnswered(e, a, g, now)
		learn(e)
		if err == nil && over {
			c.tookResult(e, result, now)
		}
	})
}

// lostIdentity ends a runner whose registration outlived a restart that its key didn't.
const lostIdentity = "its identity was lost in a restart"

func (c *Controller) guestAnswered(e *entry, a action, g handoff.Guest, now time.Time) {
	e.ready, e.runnerVersion, e.contract = now, g.RunnerVersion, g.Contract
	c.sayPolicy(*a.pool, g)
	switch {
	case g.State == handoff.Done:
		e.delivered, e.finished = now, now
	case g.State == handoff.Delivered:
		e.delivered = now
		if g.JobStarted {
			e.busy = now
		}
	case e.registration != 0:
		// Its identity was minted before a restart and never arrived. One identity per VM, ever: nobody knows who
		// has seen that one, so both go.
		e.failed = lostIdentity
	case !e.adopted:
		c.ledger.learnBoot(a.pool.Base(), now.Sub(e.started))
	}
	c.recovered(e.pool)
}
