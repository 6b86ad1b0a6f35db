package fleet

import (
	"context"
	"fmt"
	"time"

	"mayfly/internal/runner"
)

// A repository that can be read may still refuse to register runners. Where a pool has others it is that repository which
// waits, not the pool, and a VM that surely got no identity stays anybody's.

// refused makes a repository wait, longer each time.
func (c *Controller) refused(t runner.Target, err error, now time.Time) {
	b := c.ledger.refusals[t]
	b.failures++
	b.since, b.until, b.why = now, now.Add(deferred(c.spec.Timing, b.failures)), err.Error()
	c.ledger.refusals[t] = b
	c.log.Log(context.Background(), newsLevel(b.failures == 1), "no identity", "target", t.String(), "reason", err, "failures", b.failures)
}

// unbound is the outcome of an identity that GitHub surely didn't make.
func (c *Controller) unbound(t runner.Target, err error) outcome {
	return func(e *entry, now time.Time) {
		e.minting, e.target, e.lastWord = false, runner.Target{}, err.Error()
		c.refused(t, err, now)
	}
}

// mints reports whether a runner could get its identity at the repository now.
func (p *planner) mints(t runner.Target) bool {
	_, refuses := p.refuses(t)
	return !refuses && p.o.queue.failed[t] == nil
}

// refuses says that the repository gave a runner no identity, and isn't asked again yet.
func (p *planner) refuses(t runner.Target) (Reason, bool) {
	b := p.o.ledger.refusals[t]
	if !p.now.Before(b.until) {
		return Reason{}, false
	}
	p.wakeAt(b.until)
	return Reason{WaitGitHub, fmt.Sprintf("%s gets no runner; the next try in %s: %s", t, b.until.Sub(p.now).Round(time.Second), b.why)}, true
}

// refusalWords says which repositories get no runner.
func (c *Controller) refusalWords() []string {
	var words []string
	for _, t := range c.spec.Targets() {
		if b := c.ledger.refusals[t]; b.failures > 0 {
			words = append(words, fmt.Sprintf("github: %s gets no runner: %s", t, b.why))
		}
	}
	return words
}
