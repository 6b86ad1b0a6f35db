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

const (
	// askAfter is when a guest that GitHub doesn't show online is first asked how its listener fares, and askAgain how
	// often from then on. A guest whose listener ended lingers for 20 s (docs/run-once.md), so it is asked twice in that
	// time at least.
	askAfter = 8 * time.Second
	askAgain = 8 * time.Second
	// askBooted is when one is first asked that has had its identity since before its start: until its agent is up, each
	// question holds one of the node's three daemon workers for 3 s.
	askBooted = 30 * time.Second
)

// outcomeDeprecated is a guest's word for a release of the Actions runner that GitHub refuses.
const outcomeDeprecated = "deprecated"

// silent reports whether GitHub shows no sign of the runner, which has its identity.
func (e *entry) silent() bool {
	return e.busy.IsZero() && (e.online.IsZero() || e.offline)
}

// ask plans the question to a silent guest how its listener fares. Of those that may still boot, one of a node is asked
// at a time.
func (p *planner) ask(e *entry) {
	due, boots := e.delivered.Add(askAfter), !e.seeded.IsZero() && e.online.IsZero()
	if boots {
		due = e.started.Add(askBooted)
	}
	const why = "GitHub doesn't see it online"
	if p.after(due, why) == "" || boots && p.probes[e.node] > 0 {
		return
	}
	if boots {
		p.probes[e.node]++
	}
	p.act(e, action{step: StepAsk, why: why})
}

// ask reads what the guest says of its listener: one that ended without a job tells why only while the guest lingers.
func (c *Controller) ask(ctx context.Context, a action) outcome {
	result, over, err := c.handoff.Result(ctx, handoff.VM{Node: a.node, VMID: a.vmid})
	if err != nil || !over {
		refused := c.refusedByGuest(ctx, a, err)
		return func(e *entry, now time.Time) {
			e.notUntil = now.Add(askAgain)
			c.sayUnasked(refused)
		}
	}
	return done(func(e *entry, now time.Time) { c.tookResult(e, result, now) })
}

// refusedByGuest gives the error of a question to a guest that the token may not ask; nil for any other, and of one that is
// gone, of which Proxmox says the same.
func (c *Controller) refusedByGuest(ctx context.Context, a action, err error) error {
	if !errors.Is(err, proxmox.Permission) {
		return nil
	}
	if free, look := c.pve.VMIDFree(ctx, a.vmid); look == nil && !free {
		return err
	}
	return nil
}

// sayUnasked says once that guests can't be asked.
func (c *Controller) sayUnasked(refused error) {
	const event = "guests not asked"
	if refused != nil && !c.saidOnce[event] {
		c.saidOnce[event] = true
		c.log.Warn(event, "reason", fmt.Sprintf("%v; why a runner got no job stays unknown", refused))
	}
}

// tookResult notes what a guest said of its one job, and draws the lesson where there was none.
func (c *Controller) tookResult(e *entry, result runner.Result, now time.Time) {
	e.result, e.finished = result, now
	if result.JobStarted || !e.busy.IsZero() {
		c.log.Info("job done", "runner", e.name, "vmid", e.vmid, "pool", e.pool, "job", e.job, "result", result.Outcome)
		c.proved(e)
		return
	}
	c.progress.lost(e, noJobCause(result))
	c.log.Warn("runner had no job", "runner", e.name, "vmid", e.vmid, "pool", e.pool, "result", result.Outcome, "exit_code", result.ExitCode)
	if result.Outcome == outcomeDeprecated {
		version := "its Actions runner"
		if e.runnerVersion != "" {
			version = "its Actions runner " + e.runnerVersion
		}
		c.blame(e, faultDeprecated, "GitHub refuses "+version+" as deprecated", now)
		return
	}
	c.holdLate(e, fmt.Sprintf("runner %s ended without a job (%s, exit code %d)", e.name, result.Outcome, result.ExitCode), now)
}

// proved notes that a runner got a job: whatever its pool waited for, or its template was blamed for, is over.
func (c *Controller) proved(e *entry) {
	c.clear(e)
	if c.ledger.backoff[e.pool].late {
		delete(c.ledger.backoff, e.pool)
	}
}

// spent is the end of a runner that powered itself off. When its registration was still there it never had a job,
// because GitHub removes that with the job of an ephemeral runner. Where GitHub could not be asked yet, the removal that
// is still owed tells.
func (c *Controller) spent(a action, held registered) outcome {
	return func(e *entry, now time.Time) {
		noJob := a.stopped && e.failed == "" && !e.delivered.IsZero() && e.busy.IsZero() && e.job == 0 && e.finished.IsZero()
		switch r, owed := c.ledger.removals[held.id]; {
		case noJob && held.removed:
			c.hadNoJob(e, now)
		case noJob && owed && !held.busy:
			r.spent = e
			c.ledger.removals[held.id] = r
		}
		c.forget(e, now)
	}
}

func (c *Controller) hadNoJob(e *entry, now time.Time) {
	c.progress.lost(e, CauseNoJob)
	c.holdLate(e, fmt.Sprintf("runner %s powered off without having had a job", e.name), now)
}
