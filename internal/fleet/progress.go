package fleet

import (
	"maps"
	"time"

	"mayfly/internal/runner"
)

// progress tells the observer of each stage once. It keeps nothing that a plan follows from.
type progress struct {
	observer Observer
	jobs     map[int64]*toldJob
	begun    map[runner.Target]bool // those that were read before
}

// toldJob is what the observer has heard of an open job.
type toldJob struct {
	target      runner.Target
	seen, taken bool
}

// told is what the observer has heard of a runner; the zero value is nothing.
type told struct {
	met    bool      // anything at all
	passed int       // how many of its stages
	lost   bool      // that it failed
	ending time.Time // when its end began
	over   bool      // all there is
}

func newProgress(o Observer) progress {
	if o == nil {
		o = nobody{}
	}
	return progress{observer: o, jobs: map[int64]*toldJob{}, begun: map[runner.Target]bool{}}
}

// milestone is the end of a stage of a runner's life; zero while it isn't reached.
type milestone struct {
	stage Stage
	at    time.Time
}

// life lists the stages of a runner with their ends.
func (e *entry) life() [8]milestone {
	online := e.online
	if online.IsZero() || !e.busy.IsZero() && e.busy.Before(online) {
		online = e.busy
	}
	return [...]milestone{
		{StageClone, e.cloned},
		{StageConfigure, e.configured},
		{StageStart, e.started},
		{StageBoot, e.ready},
		{StageRegister, e.delivered},
		{StageConnect, online},
		{StageAssign, e.busy},
		{StageJob, e.endOfJob()},
	}
}

// endOfJob is the first that was heard of the end of its job; zero while it has none, or it goes on. GitHub's list alone
// doesn't say it: the job may turn up there again.
func (e *entry) endOfJob() time.Time {
	if e.busy.IsZero() {
		return time.Time{}
	}
	end := e.finished
	if end.IsZero() || !e.stopped.IsZero() && e.stopped.Before(end) {
		end = e.stopped
	}
	if !end.IsZero() && e.jobOver.After(e.busy) && e.jobOver.Before(end) {
		end = e.jobOver
	}
	return end
}

// runner tells of the stages that the runner has passed since the last time.
func (p *progress) runner(e *entry, now time.Time) {
	t := &e.told
	if t.over {
		return
	}
	life := e.life()
	if !t.met {
		t.met = true
		// What another process, or this one before a restart, saw of it isn't known to the second.
		for e.adopted && t.passed < len(life) && !life[t.passed].at.IsZero() {
			t.passed++
		}
	}
	for t.passed < len(life) && !life[t.passed].at.IsZero() {
		m := life[t.passed]
		from := e.created
		if t.passed > 0 {
			from = life[t.passed-1].at
		}
		t.passed++
		skipped := !e.seeded.IsZero() && (m.stage == StageBoot || m.stage == StageRegister)
		if !skipped && !from.IsZero() && !m.at.Before(from) {
			p.observer.Passed(Passage{Stage: m.stage, Pool: e.pool, Node: e.node, Result: ResultOK, Took: m.at.Sub(from)})
		}
	}
	p.end(e, t.passed == len(life), now)
}

// end notes when a runner's end begins, and why that is if it has failed without an error of a step.
func (p *progress) end(e *entry, done bool, now time.Time) {
	t, state := &e.told, e.state()
	switch {
	case state == runner.Busy && !done:
		t.ending = time.Time{} // GitHub kept it
	case !t.ending.IsZero():
	case done:
		t.ending = e.endOfJob()
	case state == runner.Destroying, state == runner.Failed:
		t.ending = now
		if e.failed != "" && !t.lost {
			p.lost(e, e.misfortune())
		}
	}
}

// misfortune is the cause of a failure that no error told of.
func (e *entry) misfortune() Cause {
	switch {
	case !e.halted.IsZero():
		return CauseHalted
	case !e.missingSince.IsZero():
		return CauseUnregistered
	case e.failed == beingStopped || e.adopted && e.registration != 0 && e.delivered.IsZero():
		return CauseRestart
	}
	return CauseOther
}

// gone tells of the end of a runner, and of the stage that it was in when that began.
func (p *progress) gone(e *entry, now time.Time) {
	p.runner(e, now)
	t, life := &e.told, e.life()
	if t.over {
		return
	}
	t.over = true
	if t.ending.IsZero() {
		t.ending = now
	}
	unseen := e.busy.IsZero() && !t.lost && (!e.finished.IsZero() || !e.stopped.IsZero()) // its job ended between two polls
	if t.passed < len(life) && (!e.adopted || t.passed > 0) && !unseen {
		from, result := e.created, ResultUnused
		if t.passed > 0 {
			from = life[t.passed-1].at
		}
		if t.lost || !e.busy.IsZero() { // a VM that is gone before its job was seen to end took that along
			result = ResultFailed
		}
		if took := t.ending.Sub(from); took >= 0 {
			p.observer.Passed(Passage{Stage: life[t.passed].stage, Pool: e.pool, Node: e.node, Result: result, Took: took})
		}
	}
	if !e.cloned.IsZero() {
		p.observer.Passed(Passage{Stage: StageDestroy, Pool: e.pool, Node: e.node, Result: ResultOK, Took: max(0, now.Sub(t.ending))})
	}
}

// now is the stage that a runner is in, StageDestroy after all others.
func (e *entry) now() Stage {
	for _, m := range e.life() {
		if m.at.IsZero() {
			return m.stage
		}
	}
	return StageDestroy
}

// failed counts a failure of a runner's present stage.
func (p *progress) failed(e *entry, c Cause) {
	if c == CauseOther {
		c = e.misfortune()
	}
	p.observer.Failed(Failure{Stage: e.now(), Cause: c, Pool: e.pool, Node: e.node})
}

// lost counts the failure that costs the runner.
func (p *progress) lost(e *entry, c Cause) {
	p.failed(e, c)
	e.told.lost = true
}

// stuck counts a failure to destroy a runner.
func (p *progress) stuck(e *entry, err error) {
	p.observer.Failed(Failure{Stage: StageDestroy, Cause: causeOf(err), Pool: e.pool, Node: e.node})
}

// late counts a runner that is destroyed because a deadline has passed.
func (p *progress) late(e *entry, pool runner.Pool, t Timing, now time.Time) {
	if pool.Name == "" || e.failed != "" || e.told.lost || !e.stopped.IsZero() || !e.finished.IsZero() {
		return
	}
	due := time.Time{}
	switch e.now() {
	case StageBoot:
		due = e.started.Add(pool.BootTimeout)
	case StageConnect:
		due = e.delivered.Add(t.Register)
		if !e.seeded.IsZero() {
			due = e.started.Add(pool.BootTimeout + t.Register)
		}
	case StageJob:
		due = jobDeadline(e, pool)
	}
	if !due.IsZero() && !now.Before(due) {
		p.lost(e, CauseTimeout)
	}
}

// queue tells of jobs that a runner of ours has taken. A job that began before the first reading of its target isn't told
// of.
func (p *progress) queue(q queue, runners map[int]*entry) {
	byName := map[string]*entry{}
	for _, e := range runners {
		byName[e.name] = e
	}
	open := map[int64]bool{}
	for _, j := range q.demand.Jobs {
		open[j.ID] = true
		t := p.jobs[j.ID]
		if t == nil {
			known := p.begun[j.Target]
			t = &toldJob{target: j.Target, seen: !known, taken: !known && j.Status != runner.JobQueued}
			p.jobs[j.ID] = t
		}
		if e := byName[j.RunnerName]; e != nil && j.RunnerName != "" && j.Status == runner.JobInProgress && !t.taken {
			t.taken = true
			p.observer.Passed(Passage{Stage: StageQueue, Pool: e.pool, Node: e.node, Result: ResultOK, Took: max(0, q.at.Sub(j.CreatedAt))})
		}
	}
	for t := range q.registrations {
		p.begun[t] = p.begun[t] || q.failed[t] == nil
	}
	// Those of a target that can't be read may be missing.
	maps.DeleteFunc(p.jobs, func(id int64, j *toldJob) bool { return !open[id] && q.failed[j.target] == nil })
}

// waiting tells of jobs that a reading has shown for the first time.
func (p *progress) waiting(list []WaitingJob, at time.Time) {
	for _, w := range list {
		if t := p.jobs[w.Job.ID]; t != nil && !t.seen {
			t.seen = true
			p.observer.Passed(Passage{Stage: StageSee, Pool: w.Pool, Result: ResultOK, Took: max(0, at.Sub(w.Job.CreatedAt))})
		}
	}
}

// polled tells of an answer of Proxmox.
func (p *progress) polled(ok bool, now time.Time) {
	p.observer.Polled(Poll{Source: SourceProxmox, At: now, OK: ok})
}

// polledTargets tells of a reading of GitHub's targets.
func (p *progress) polledTargets(targets []runner.Target, q queue, now time.Time) {
	for _, t := range targets {
		p.observer.Polled(Poll{Source: SourceGitHub, Target: t.String(), At: now, OK: q.failed[t] == nil})
	}
}
