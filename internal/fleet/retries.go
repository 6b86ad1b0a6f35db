package fleet

import (
	"cmp"
	"fmt"
	"time"
)

const (
	// jobBudget is how many runners that were made for one job may come to nothing before the next ones are made ever
	// more rarely: something about that job or its pool is wrong that no clone mends.
	jobBudget = 5
	// shortestBudgetWait and longestBudgetWait bound the waits after that, doubled each time. GitHub cancels a job after 24 hours in the
	// queue, so a job costs some fifteen VMs, and one whose trouble has passed is served all the same.
	shortestBudgetWait = 5 * time.Minute
	longestBudgetWait  = 4 * time.Hour
)

// attempts is what became of the runners that were made for one waiting job. It ends with the job's waiting; a re-run is
// another job. Losing it in a restart costs some more clones.
type attempts struct {
	failures int
	until    time.Time // no other before
	why      string    // the last of them failed
}

// outOfBudget says why no other runner is made for the job now: those that were came to nothing.
func (p *planner) outOfBudget(job int64) (Reason, bool) {
	a := p.o.ledger.attempts[job]
	if a.failures < jobBudget || !p.now.Before(a.until) {
		return Reason{}, false
	}
	p.wakeAt(a.until)
	return Reason{WaitRetries, fmt.Sprintf("%d runners that were made for it came to nothing, the last because %s; the next one is made in %s, or for a re-run at once",
		a.failures, a.why, a.until.Sub(p.now).Round(time.Second))}, true
}

// made notes which job the clones are for that were planned since before.
func (p *planner) made(before int, job int64) {
	for i := before; i < len(p.d.actions); i++ {
		if p.d.actions[i].step == StepClone {
			p.d.actions[i].job = job
		}
	}
}

// cameToNothing counts a runner that ends and was made for a job that still waits, unless it had a job, its VM never
// came to be (the pool's back-off is for that), or the fleet wanted it gone.
func (c *Controller) cameToNothing(e *entry, now time.Time) {
	_, waits := c.ledger.waiting[e.wantedBy]
	if e.wantedBy == 0 || !waits || e.cloned.IsZero() || !e.busy.IsZero() || e.job != 0 || ending(c.ending.Load()) != goingOn {
		return
	}
	a := c.ledger.attempts[e.wantedBy]
	a.failures++
	a.why = cmp.Or(e.failed, e.ends, "its VM vanished")
	if over := a.failures - jobBudget; over >= 0 {
		wait := shortestBudgetWait
		for ; over > 0 && wait < longestBudgetWait; over-- {
			wait *= 2
		}
		a.until = now.Add(min(wait, longestBudgetWait))
	}
	if a.failures == jobBudget {
		c.log.Warn("retries spent", "job", e.wantedBy, "pool", e.pool, "runner", e.name, "reason", a.why)
	}
	c.ledger.attempts[e.wantedBy] = a
	e.wantedBy = 0 // each counts once
}
