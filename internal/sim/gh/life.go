package gh

import (
	"slices"
	"strings"
	"time"

	"mayfly/internal/sim/runnerproto"
)

// The statuses of jobs and runs (OpenAPI, schemas "job" and "workflow-run").
const (
	statusRequested  = "requested"
	statusWaiting    = "waiting"
	statusPending    = "pending"
	statusQueued     = "queued"
	statusInProgress = "in_progress"
	statusCompleted  = "completed"
)

// The conclusions that come up here.
const (
	concluSuccess   = "success"
	concluFailure   = "failure"
	concluCancelled = "cancelled"
)

// maxQueued is how long a job may wait for a runner (GitHub docs, "Actions limits": 24 hours).
const maxQueued = 24 * time.Hour

// busySilence is how long a runner with a job may be silent before it reads offline: it renews its lease each minute.
const busySilence = runnerproto.RenewInterval + runnerproto.OfflineAfter

// event is something that time alone brings about.
type event struct {
	at  time.Time
	act func(at time.Time)
}

// advance works off, in their order and at their own time, the events that are due at now.
func (w *world) advance(now time.Time) {
	for {
		e, ok := w.nextEvent()
		if !ok || e.at.After(now) {
			return
		}
		e.act(e.at)
	}
}

// nextEvent finds the earliest event, the oldest object first among equals.
func (w *world) nextEvent() (first event, found bool) {
	consider := func(at time.Time, act func(time.Time)) {
		if !found || at.Before(first.at) {
			first, found = event{at, act}, true
		}
	}
	for _, j := range w.open {
		switch {
		case j.status == statusInProgress && !j.stolenTill.IsZero():
			consider(j.stolenTill, func(at time.Time) { w.finish(j, concluSuccess, "served by another runner", at) })
		case j.status == statusInProgress:
			if !j.cancelAt.IsZero() {
				consider(j.cancelAt.Add(forceCancel), func(at time.Time) { w.finish(j, concluCancelled, "the runner ignored the cancellation", at) })
			}
			consider(j.leaseUntil, func(at time.Time) {
				w.finish(j, concluFailure, "The self-hosted runner: "+j.runner.name+" lost communication with the server.", at)
			})
		case j.status == statusQueued && j.runner != nil:
			consider(j.assignedAt.Add(w.opts.PickUp), func(at time.Time) { w.unassign(j, at) })
		case j.status == statusQueued:
			consider(j.queued.Add(maxQueued), func(at time.Time) { w.finish(j, concluCancelled, "no runner within 24 hours", at) })
		}
	}
	for _, r := range w.live {
		if r.firstSeen.IsZero() {
			limit := neverConnectedLong
			if r.ephemeral {
				limit = neverConnected
			}
			consider(r.created.Add(limit), func(at time.Time) { w.remove(r, "never connected", at) })
		}
	}
	return first, found
}

// nextLook is when a held poll has to look again though nobody wakes it: the next event, or the next time a job or a
// runner gets past the assign delay.
func (w *world) nextLook(now time.Time) (time.Time, bool) {
	e, found := w.nextEvent()
	at := e.at
	consider := func(t time.Time) {
		if t.After(now) && (!found || t.Before(at)) {
			at, found = t, true
		}
	}
	if w.opts.AssignDelay > 0 {
		for _, j := range w.open {
			if j.status == statusQueued && j.runner == nil {
				consider(j.queued.Add(w.opts.AssignDelay))
			}
		}
		for _, r := range w.live {
			if r.session != nil && r.job == nil {
				consider(r.idleSince.Add(w.opts.AssignDelay))
			}
		}
	}
	return at, found
}

// match gives queued jobs, the oldest first, to runners that can take them. Which of several is the seed's choice.
func (w *world) match(now time.Time) {
	for _, j := range w.open {
		if j.status != statusQueued || j.runner != nil || j.queued.Add(w.opts.AssignDelay).After(now) {
			continue
		}
		var able []*registration
		for _, r := range w.live {
			if w.canTake(r, j, now) {
				able = append(able, r)
			}
		}
		if len(able) == 0 {
			continue
		}
		r := able[seeded(w.opts.Seed, "assign", j.id, j.assigned).below(len(able))]
		j.runner, j.assignedAt, j.told, r.job = r, now, false, j
		j.assigned++
		w.opts.Logger.Info("job assigned", "job", j.id, "runner", r.name)
		r.session.wake()
	}
}

// canTake reports whether r may get j now: online, idle, in scope, and with every label of the job among its own.
func (w *world) canTake(r *registration, j *job, now time.Time) bool {
	if r.job != nil || r.consumed || !r.online(now) || r.idleSince.Add(w.opts.AssignDelay).After(now) {
		return false
	}
	if !strings.EqualFold(r.owner, j.run.repo.owner) || (r.repo != "" && !strings.EqualFold(r.repo, j.run.repo.name)) {
		return false
	}
	if g := w.group(r.owner, r.groupID); r.repo == "" && (g == nil || !g.admits(j)) {
		return false
	}
	for _, l := range j.spec.labels {
		if !hasLabel(r.labels, l) {
			return false
		}
	}
	return true
}

// online reports whether the runner's session is alive: a poll is held, or the last sign of it is fresh.
func (r *registration) online(now time.Time) bool {
	if r.session == nil {
		return false
	}
	silence := runnerproto.OfflineAfter
	if r.busy() {
		silence = busySilence
	}
	return r.session.polls > 0 || now.Sub(r.lastSeen) < silence
}

// busy reports whether the runner is running a job.
func (r *registration) busy() bool { return r.job != nil && r.job.status == statusInProgress }

// unassign takes an assigned job that wasn't started away from its runner; it is queued again.
func (w *world) unassign(j *job, at time.Time) {
	w.opts.Logger.Info("job queued again", "job", j.id, "runner", j.runner.name, "reason", "not picked up")
	j.runner.job, j.runner.idleSince = nil, at
	j.runner, j.queued, j.assignedAt = nil, at, time.Time{}
	w.match(at)
	w.wakeAll()
}

// start makes an assigned job a running one. The caller has checked that it is r's.
func (w *world) start(j *job, at time.Time) {
	j.status, j.started, j.leaseUntil, j.run.updated = statusInProgress, at, at.Add(w.opts.Lease), at
	j.starts++
	j.runner.jobs = append(j.runner.jobs, j.id)
	w.opts.Logger.Info("job started", "job", j.id, "runner", j.runner.name)
}

// finish completes a job, whatever its status was, and takes an ephemeral registration away.
func (w *world) finish(j *job, conclusion, reason string, at time.Time) {
	r, ran := j.runner, j.status == statusInProgress
	j.status, j.conclusion, j.reason, j.completed, j.run.updated = statusCompleted, conclusion, reason, at, at
	w.open = slices.DeleteFunc(w.open, func(x *job) bool { return x == j })
	w.opts.Logger.Info("job completed", "job", j.id, "reason", conclusion)
	if r == nil || !ran {
		// An assignment that never began leaves no runner behind on the job.
		j.runner, j.noRunner = nil, true
	}
	if r == nil {
		return
	}
	r.job, r.idleSince = nil, at
	switch {
	case !ran && r.ephemeral:
		w.waste(r, at)
	case ran && r.ephemeral:
		w.remove(r, "job completed", at)
	}
	w.match(at)
	w.wakeAll()
}

// waste marks an ephemeral registration whose only assignment came to nothing: gone from the API, while its listener
// goes on listening for ever (actions/runner#4617, #4618).
func (w *world) waste(r *registration, at time.Time) {
	r.consumed = true
	w.remove(r, "assignment lost", at)
}

// cancelJob cancels j: at once unless a runner runs it.
func (w *world) cancelJob(j *job, at time.Time) {
	if j.status != statusInProgress {
		w.finish(j, concluCancelled, "cancelled", at)
		return
	}
	if j.cancelAt.IsZero() {
		j.cancelAt = at
		j.runner.session.wake()
	}
}

// remove takes a registration away. A job that it was assigned but didn't start is queued again.
func (w *world) remove(r *registration, why string, at time.Time) {
	r.removed, r.removedWhy = at, why
	w.live = slices.DeleteFunc(w.live, func(x *registration) bool { return x == r })
	w.opts.Logger.Info("runner removed", "runner", r.name, "reason", why)
	if j := r.job; j != nil && j.status == statusQueued {
		w.unassign(j, at)
	}
	r.session.wake()
}

// wakeAll makes every held poll look again.
func (w *world) wakeAll() {
	for _, r := range w.live {
		r.session.wake()
	}
}
