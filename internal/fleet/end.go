package fleet

import (
	"time"

	"mayfly/internal/runner"
)

// ending is how the controller is on its way out.
type ending int32

const (
	goingOn  ending = iota
	draining        // no new runners; those without a job go, those with one may finish it
	stopping        // nothing new at all; steps in flight may finish
)

// Drain stops making runners. Run then returns when the last one is gone: runners without a job are deregistered and
// destroyed, those with one finish it. It returns at once and may be called from anywhere.
func (c *Controller) Drain() { c.end(draining) }

// Stop starts nothing new. Run then returns when the steps in flight are through, which takes seconds unless a clone
// or a destroy is long; the caller bounds it with the context that Run has. Runners stay as they are: the next start
// finds them. It returns at once and may be called from anywhere; it overrides Drain.
func (c *Controller) Stop() { c.end(stopping) }

func (c *Controller) end(how ending) {
	for {
		old := c.ending.Load()
		if old >= int32(how) || c.ending.CompareAndSwap(old, int32(how)) {
			break
		}
	}
	select {
	case c.wake <- struct{}{}:
	default: // it is woken already
	}
}

// ended reports whether nothing is left to wait for.
func (c *Controller) ended() bool {
	switch ending(c.ending.Load()) {
	case stopping:
		return c.inFlight() == 0
	case draining:
		return c.keeping() == 0 && len(c.ledger.removals) == 0 && !c.seen.at.IsZero() && c.seen.err == nil
	case goingOn:
	}
	return false
}

// keeping counts the runners that are this process's to see to their end: not those that a rival made, which may well be
// alive.
func (c *Controller) keeping() int {
	n, now := 0, time.Now()
	for _, e := range c.ledger.runners {
		if r := c.ledger.rivals[e.process.ID]; !c.ledger.left(c.spec, e, now) && (r == nil || !e.adopted) {
			n++
		}
	}
	return n
}

// inFlight counts the steps that work on a runner.
func (c *Controller) inFlight() int {
	n := 0
	for _, e := range c.ledger.runners {
		if e.op != nil {
			n++
		}
	}
	return n
}

// mustDrain says why a runner that has no job goes while the fleet drains. One that waits for GitHub to see it is let
// come online first: then GitHub's answer tells for sure whether a job landed on it.
func (p *planner) mustDrain(e *entry) string {
	if p.o.ending != draining || !e.busy.IsZero() || !e.stopped.IsZero() || !e.finished.IsZero() {
		return ""
	}
	switch e.state() {
	case runner.Configuring, runner.Booting, runner.Idle:
		return "the fleet drains"
	case runner.Planned, runner.Cloning, runner.Registering, runner.Busy, runner.Draining, runner.Destroying, runner.Gone, runner.Failed:
	}
	return ""
}
