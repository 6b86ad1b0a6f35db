package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
)

// outcome applies what a step came to, in the controller's goroutine. e is the runner's entry as it is then.
type outcome func(e *entry, now time.Time)

// work is a step: it does its I/O and says what came of it.
type work func(ctx context.Context, a action) outcome

// do starts an action.
func (c *Controller) do(ctx context.Context, a action, now time.Time) {
	switch a.step {
	case StepForget:
		c.start(ctx, a, c.spec.Timing.Configure, now, c.vanished)
	case StepRemove:
		c.removeRegistration(ctx, a, now)
		return
	case StepClone:
		a.name = c.sequence.NewName(a.pool.NamePrefix)
		c.ledger.runners[a.vmid] = &entry{vmid: a.vmid, name: a.name, pool: a.pool.Name, node: a.node, template: a.template.id, source: a.source(), created: now, shape: a.shape, way: a.template.way, wantedBy: a.job}
		c.ledger.tries(a.template.id, now)
		c.sayTemplate(a)
		c.start(ctx, a, c.spec.Timing.Clone, now, c.clone)
	case StepFollow:
		if a.task.destroys() {
			c.start(ctx, a, c.spec.Timing.Destroy, now, c.followEnd)
		} else {
			c.start(ctx, a, c.spec.Timing.Clone, now, c.follow)
		}
	case StepConfigure:
		a.noTags, a.noMAC = c.lostTags, c.lostNetwork
		c.start(ctx, a, c.spec.Timing.Configure, now, c.configure)
	case StepStart:
		c.start(ctx, a, c.spec.Timing.Start, now, c.boot)
	case StepProbe:
		c.ledger.runners[a.vmid].asked++
		c.start(ctx, a, probeTimeout, now, c.probe)
	case StepSeed:
		e := c.ledger.runners[a.vmid]
		e.minting, e.target, e.way, e.medium = true, a.target, a.way, c.seeders[a.way].Lasts()
		c.start(ctx, a, c.spec.Timing.Deliver, now, c.seed)
	case StepEject:
		c.start(ctx, a, c.spec.Timing.Configure, now, c.eject)
	case StepRegister:
		e := c.ledger.runners[a.vmid]
		e.minting, e.target = true, a.target
		c.start(ctx, a, c.spec.Timing.Deliver, now, c.register)
	case StepAsk:
		c.start(ctx, a, probeTimeout, now, c.ask)
	case StepInspect:
		c.start(ctx, a, probeTimeout, now, c.inspect)
	case StepDestroy:
		c.strikeLate(c.ledger.runners[a.vmid], *a.pool, now)
		c.progress.late(c.ledger.runners[a.vmid], *a.pool, c.spec.Timing, now)
		if a.sweeps {
			c.noteSweep(c.ledger.runners[a.vmid], now)
		}
		c.log.Info("runner ends", "runner", a.name, "vmid", a.vmid, "node", a.node, "pool", a.pool.Name, "reason", a.why)
		c.ledger.runners[a.vmid].ends = a.why
		if a.unfit {
			c.ledger.runners[a.vmid].wantedBy = 0
		}
		c.cameToNothing(c.ledger.runners[a.vmid], now) // before another is made for its job
		c.start(ctx, a, c.spec.Timing.Stop+c.spec.Timing.Destroy, now, c.destroy)
	}
}

// start runs a step under its deadline. When ctx ends first, nothing is applied: the next start observes anew.
func (c *Controller) start(ctx context.Context, a action, limit time.Duration, now time.Time, w work) {
	e := c.ledger.runners[a.vmid]
	e.op = &operation{step: a.step, since: now, until: now.Add(limit)}
	c.log.Debug("step", "step", a.step, "runner", a.name, "vmid", a.vmid, "node", a.node, "reason", a.why)
	c.steps.Go(func() {
		c.sequence.Turn(ctx, fmt.Sprintf("%s %d", a.step, a.vmid))
		stepCtx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		began := time.Now()
		apply := w(stepCtx, a)
		took := time.Since(began)
		c.send(ctx, func(now time.Time) {
			c.log.Debug("step done", "step", a.step, "runner", a.name, "vmid", a.vmid, "node", a.node, "took", took)
			e.op = nil
			apply(e, now)
			if c.ledger.runners[e.vmid] == e {
				c.note(e, now)
			}
		})
	})
}

// done is the outcome of a step that reached its milestone.
func done(reach func(e *entry, now time.Time)) outcome {
	return func(e *entry, now time.Time) {
		e.tries, e.lastWord, e.notUntil = 0, "", time.Time{}
		reach(e, now)
	}
}

// maxTries is how often one step of a runner is tried when its failure may pass; then the runner is given up, which
// costs a clone and mends most things.
const maxTries = 5

// again is the outcome of a step that failed in a way that may pass.
func (c *Controller) again(err error) outcome {
	if at := retryAt(err); !at.IsZero() {
		return c.later(err, at)
	}
	return func(e *entry, now time.Time) {
		e.tries++
		e.lastWord = err.Error()
		if e.tries >= maxTries {
			c.giveUp(err)(e, now)
			return
		}
		e.notUntil = now.Add(deferred(c.spec.Timing, e.tries))
		c.progress.failed(e, causeOf(err))
		c.log.Warn("step failed, will be tried again", "runner", e.name, "vmid", e.vmid, "node", e.node, "reason", err)
	}
}

// retryAt is when GitHub, or our own pace for it, takes the request again; zero where the error doesn't say.
func retryAt(err error) time.Time {
	var limited *github.Error
	if !errors.As(err, &limited) {
		return time.Time{}
	}
	return limited.RetryAt
}

// shortDelay is what nobody needs to be told of: the pace that GitHub asks for between two changes.
const shortDelay = 5 * time.Second

// later is the outcome of a step that GitHub told when to come back.
func (c *Controller) later(err error, at time.Time) outcome {
	return func(e *entry, now time.Time) {
		e.lastWord = err.Error()
		// Our own pace says a second or two: a ready guest must not wait longer than that.
		if e.notUntil = at; !at.After(now) {
			e.notUntil = now.Add(c.spec.Timing.BackoffMin)
		}
		level := slog.LevelWarn
		if e.notUntil.Sub(now) < shortDelay {
			level = slog.LevelDebug
		}
		c.log.Log(context.Background(), level, "step delayed", "runner", e.name, "vmid", e.vmid, "node", e.node, "reason", err)
	}
}

// giveUp is the outcome of a step that failed for good: the runner goes, and what is at fault, or else its pool, waits before
// the next one.
func (c *Controller) giveUp(err error) outcome {
	return c.blaming(err, func(e *entry, now time.Time) { c.hold(e, e.failed, now) })
}

// blaming is giveUp with something else that waits instead of the pool.
func (c *Controller) blaming(err error, hold func(e *entry, now time.Time)) outcome {
	return func(e *entry, now time.Time) {
		c.progress.lost(e, causeOf(err))
		struck := c.strike(e, err, now)
		e.failed = err.Error()
		e.lastWord = e.failed
		e.tries, e.notUntil = 0, time.Time{}
		c.log.Error("runner failed", "runner", e.name, "vmid", e.vmid, "node", e.node, "pool", e.pool, "reason", err)
		if !struck {
			hold(e, now)
		}
		if errors.Is(err, handoff.ErrImage) {
			c.blame(e, faultUnfit, "its guests can't become runners ("+e.failed+")", now)
		}
	}
}

// forget drops a runner whose VM is gone. Its VMID rests from now on.
func (c *Controller) forget(e *entry, now time.Time) {
	c.cameToNothing(e, now)
	c.ledger.lastUsed[e.vmid] = now
	delete(c.ledger.runners, e.vmid)
	c.noteGone(e, now)
}

// passing reports whether an error of Proxmox may go away by itself.
func passing(err error) bool {
	for _, k := range []error{proxmox.Busy, proxmox.Locked, proxmox.Unavailable, proxmox.Untrusted, proxmox.MaybeHappened, context.DeadlineExceeded} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}
