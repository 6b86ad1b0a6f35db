package fleet

import (
	"fmt"
	"slices"
	"time"
)

const (
	// minSweep and sweepShare bound how many runners that are up are destroyed within a sweepWindow for what is seen of
	// them from outside: the more of minSweep and one in sweepShare. A mass recycle, or an outage that is misread, then
	// can't take all at once, and somebody sees it before it has.
	minSweep    = 5
	sweepShare  = 4
	sweepWindow = time.Minute
)

// sweeps reports whether the end of the runner counts against that bound. What has powered off, or said itself that its
// job is over, is used up whatever anybody else reads; and who drains the fleet wants all of it gone.
func (p *planner) sweeps(e *entry) bool {
	return e.stopped.IsZero() && e.finished.IsZero() && p.o.ending == goingOn && !e.swept
}

// maySweep reports whether one more may go now, and takes it off the bound.
func (p *planner) maySweep(e *entry) bool {
	if !p.sweeps(e) {
		return true
	}
	limit, recent := max(minSweep, p.total/sweepShare), 0
	var oldest time.Time
	for _, at := range p.o.ledger.sweeps {
		if p.now.Sub(at) < sweepWindow {
			recent++
			if oldest.IsZero() || at.Before(oldest) {
				oldest = at
			}
		}
	}
	if recent+p.swept < limit {
		p.swept++
		return true
	}
	if !oldest.IsZero() {
		p.wakeAt(oldest.Add(sweepWindow))
	}
	p.d.unswept++
	return false
}

// noteSweep notes the end of a runner that counts against the bound.
func (c *Controller) noteSweep(e *entry, now time.Time) {
	e.swept = true
	c.ledger.sweeps = slices.DeleteFunc(c.ledger.sweeps, func(at time.Time) bool { return now.Sub(at) >= sweepWindow })
	c.ledger.sweeps = append(c.ledger.sweeps, now)
}

// unsweptWords says that runners wait for their end; "" when none does.
func unsweptWords(d decision) string {
	if d.unswept == 0 {
		return ""
	}
	return fmt.Sprintf("%d runners that should go wait for it: while they run at most %d a minute are destroyed, or one in %d, so that a wrong reading can't take all at once; see the log for why they go",
		d.unswept, minSweep, sweepShare)
}

// saySweep tells in the log when runners begin to wait for their end, and when none does any more.
func (c *Controller) saySweep(d decision) {
	held := d.unswept > 0
	if held == c.holding {
		return
	}
	c.holding = held
	if held {
		c.log.Warn("sweep limited", "runners", d.unswept, "reason", unsweptWords(d))
		return
	}
	c.log.Info("sweep over")
}
