package fleet

import (
	"context"
	"errors"
	"time"

	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/runner"
)

// inspectAgain is how long to wait between two questions to a guest whose registration is gone.
const inspectAgain = 5 * time.Second

// deafFactor is how much longer than GoneConfirm a guest that doesn't answer is kept: it can't say that no job runs.
const deafFactor = 4

// errAgentOff is in place of the answer of a guest that can't be asked.
var errAgentOff = errors.New("the template's guest agent is off")

// inspect asks a guest whose registration GitHub lists no more. Usually its job is over and it will power off. GitHub's
// list may also have missed it, which a look-up by id tells; or it is a ghost that no job will ever reach.
func (c *Controller) inspect(ctx context.Context, a action) outcome {
	vm := handoff.VM{Node: a.node, VMID: a.vmid}
	result, over, err := runner.Result{}, false, errAgentOff
	if !a.agentOff {
		result, over, err = c.handoff.Result(ctx, vm)
	}
	if err == nil && over {
		return done(func(e *entry, now time.Time) {
			c.tookResult(e, result, now)
		})
	}
	registration, look := c.gh.Runner(ctx, a.target, a.registration)
	if look == nil {
		return done(func(e *entry, now time.Time) { e.sawRegistration(registration, now) })
	}
	gone := errors.Is(look, github.NotFound)
	var guest handoff.Guest
	if err == nil {
		guest, err = c.handoff.Probe(ctx, vm)
	}
	refused := c.refusedByGuest(ctx, a, err)
	return func(e *entry, now time.Time) {
		c.sayUnasked(refused)
		e.notUntil = now.Add(inspectAgain)
		e.dropped = e.dropped || gone
		e.guestBusy = err == nil && guest.State == handoff.Delivered && guest.JobStarted
		if e.guestBusy && e.busy.IsZero() {
			e.busy = now
		}
		limit := c.spec.Timing.GoneConfirm
		if err != nil {
			limit *= deafFactor
		}
		switch {
		case !gone:
		case !e.guestBusy && now.Sub(e.missingSince) > limit:
			e.failed = "its registration is gone and no job runs in it"
		case e.guestBusy && !e.jobOver.IsZero() && now.Sub(e.jobOver) > c.spec.Timing.HangGrace:
			e.failed = "GitHub ended its job and dropped it, but its guest goes on"
		}
	}
}
