package fleet

import (
	"fmt"
	"time"

	"mayfly/internal/runner"
)

// backoff is a growing wait.
type backoff struct {
	failures int
	since    time.Time
	until    time.Time
	why      string
	late     bool // runners failed after they had their identity
}

// lateOnes is how many failures of runners that had their identity it takes until one is tried at a time.
const lateOnes = 3

// backsOff says why the pool makes no runner now: its last ones failed.
func (p *planner) backsOff(pool runner.Pool) (Reason, bool) {
	b := p.o.ledger.backoff[pool.Name]
	times := "1 failure"
	if b.failures > 1 {
		times = fmt.Sprintf("%d failures in a row", b.failures)
	}
	switch {
	case p.now.Before(b.until):
		p.wakeAt(b.until)
		return Reason{WaitBackoff, fmt.Sprintf("pool %s waits %s after %s: %s", pool.Name, b.until.Sub(p.now).Round(time.Second), times, b.why)}, true
	case b.late && b.failures >= lateOnes && (p.cloned[pool.Name] || p.unproven(pool)):
		return Reason{WaitBackoff, fmt.Sprintf("pool %s tries one runner at a time after %s: %s", pool.Name, times, b.why)}, true
	}
	return Reason{}, false
}

// unproven reports whether the pool has a runner of which nobody knows yet whether it gets a job, or whether it had one.
func (p *planner) unproven(pool runner.Pool) bool {
	for _, e := range p.byPool[pool.Name] {
		if e.state().CanTakeJob() || e.busy.IsZero() && !e.stopped.IsZero() && e.failed == "" {
			return true
		}
	}
	for _, r := range p.o.ledger.removals {
		if r.spent != nil && r.spent.pool == pool.Name {
			return true
		}
	}
	return false
}

// hold makes a pool wait after a runner failed, longer each time. Runners that were on their way together and fail for one
// cause count as one failure: only one that was made after the last wait had begun shows that waiting didn't help.
func (c *Controller) hold(e *entry, why string, now time.Time) {
	b := c.ledger.backoff[e.pool]
	b.why = why
	if b.failures == 0 || e.created.After(b.since) {
		b.failures++
		b.since, b.until = now, now.Add(deferred(c.spec.Timing, b.failures))
	}
	c.ledger.backoff[e.pool] = b
}

// holdLate makes a pool wait after a runner that had its identity ended without a job. That the next one gets as far as
// this one did shows nothing, so only a job ends the row of failures.
func (c *Controller) holdLate(e *entry, why string, now time.Time) {
	c.hold(e, why, now)
	b := c.ledger.backoff[e.pool]
	b.late = true
	c.ledger.backoff[e.pool] = b
}

// recovered ends a pool's row of failures when a runner got further than those.
func (c *Controller) recovered(pool string) {
	if !c.ledger.backoff[pool].late {
		delete(c.ledger.backoff, pool)
	}
}

// deferred grows a wait after the n-th failure in a row: the minimum, doubled each time, up to the maximum.
func deferred(t Timing, failures int) time.Duration {
	wait := t.BackoffMin
	for i := 1; i < failures && wait < t.BackoffMax; i++ {
		wait *= 2
	}
	return min(wait, t.BackoffMax)
}
