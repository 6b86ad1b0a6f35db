package fleet

import (
	"slices"
	"time"

	"mayfly/internal/runner"
)

// A pool may serve several repositories. Its runners are nobody's until they get their identity: then they are bound to the
// repository of the job that waits longest without one, or, where they shall only be warm, to the first of the pool's.

// where is a pool at one of its repositories.
type where struct {
	pool   string
	target runner.Target
}

// need is the waiting jobs of a pool at one of its repositories.
type need struct {
	jobs  int
	since time.Time // the oldest of them was created
}

// add counts a waiting job more.
func (n *need) add(j *runner.Job) {
	if n.jobs == 0 || j.CreatedAt.Before(n.since) {
		n.since = j.CreatedAt
	}
	n.jobs++
}

// wantAt counts a waiting job; of a pool with one repository p.wanted tells as much.
func (p *planner) wantAt(pool *runner.Pool, j *runner.Job) {
	if len(pool.More) == 0 {
		return
	}
	at := where{pool.Name, j.Target}
	d := p.needs[at]
	d.add(j)
	p.needs[at] = d
}

// needAt is how much waits for the pool at one of its repositories.
func (p *planner) needAt(pool runner.Pool, t runner.Target) need {
	if len(pool.More) == 0 {
		return need{p.wanted[pool.Name], p.waits[pool.Name]}
	}
	return p.needs[where{pool.Name, t}]
}

// wantedOf is how many waiting jobs a registered runner could take.
func (p *planner) wantedOf(e *entry) int {
	pool, _ := p.s.Pool(e.pool)
	at, _ := p.s.targetOf(e)
	return p.needAt(pool, at).jobs
}

// bound is the repository that the runner has an identity for, or is about to get one for.
func (p *planner) bound(e *entry) (t runner.Target, is bool) {
	if e.registration == 0 && !e.registers() {
		return runner.Target{}, false
	}
	t, _ = p.s.targetOf(e)
	return t, true
}

// cover is the place of the runner that answers for a job of the repository: the furthest that is bound to it, else the
// furthest that is bound to none; -1 where there is none.
func (p *planner) cover(covers []*entry, pool *runner.Pool, t runner.Target) int {
	if len(pool.More) == 0 {
		return min(0, len(covers)-1)
	}
	free := -1
	for i, e := range covers {
		switch at, is := p.bound(e); {
		case is && at == t:
			return i
		case !is && free < 0 && p.mints(t): // else it gets no identity there
			free = i
		}
	}
	return free
}

// unanswered is how many of the pool's waiting jobs no runner answers for.
func (p *planner) unanswered(pool runner.Pool, covers []*entry) int {
	if len(pool.More) == 0 {
		return max(0, p.wanted[pool.Name]-len(covers))
	}
	bound, free := map[runner.Target]int{}, 0
	for _, e := range covers {
		if at, is := p.bound(e); is {
			bound[at]++
		} else {
			free++
		}
	}
	open := 0
	for _, t := range pool.Targets() {
		open += max(0, p.needAt(pool, t).jobs-bound[t])
	}
	return max(0, open-free)
}

// mintAt chooses where a runner gets its identity: at the repository that has more waiting jobs than registered runners,
// of those the one whose job waits longest; else at the pool's first, where the pool shall have an idle runner more.
func (p *planner) mintAt(e *entry, pool runner.Pool, registered map[runner.Target]int) (at runner.Target, wants bool) {
	if e.adopted && slices.ContainsFunc(pool.Targets(), func(t runner.Target) bool { return p.o.queue.failed[t] != nil }) {
		return at, false // it may have an identity there
	}
	spare := 0
	var since time.Time
	for _, t := range pool.Targets() {
		d := p.needAt(pool, t)
		spare += max(0, registered[t]-d.jobs)
		if registered[t] < d.jobs && p.mints(t) && (!wants || d.since.Before(since)) {
			at, since, wants = t, d.since, true
		}
	}
	if !wants && spare < p.level(pool).idle && p.mints(pool.Target) {
		return pool.Target, true
	}
	return at, wants
}

// lookIn are the repositories where a registration of the runner may be that isn't known.
func (p *planner) lookIn(e *entry, pool runner.Pool) []runner.Target {
	switch {
	case e.target != (runner.Target{}):
		return []runner.Target{e.target}
	case pool.Target == (runner.Target{}):
		return p.s.Targets() // its pool isn't configured any more
	}
	return pool.Targets()
}

// giveWay lets idle runners go that are bound to one of the pool's repositories while jobs of another wait for nothing but
// room, a few at a time.
func (p *planner) giveWay(pool runner.Pool) {
	if len(pool.More) == 0 || p.squeezed[pool.Name] == 0 {
		return
	}
	needed := p.squeezed[pool.Name]
	for _, e := range p.byPool[pool.Name] {
		if s := e.state(); s == runner.Destroying || s == runner.Draining || s == runner.Failed || p.retire[e.vmid] != "" || p.misfitGoes(e) != "" {
			needed-- // that one's place comes soon
		}
	}
	needed = min(needed, roomPerPass)
	for _, e := range p.free(pool) {
		if needed <= 0 {
			return
		}
		if _, is := p.bound(e); is && e.settled() && p.retire[e.vmid] == "" {
			p.retire[e.vmid] = "a job of another repository of its pool needs its place"
			needed--
		}
	}
}

// unreadable reports whether none of the pool's repositories could be read.
func (p *planner) unreadable(pool runner.Pool) bool { return p.o.queue.failed[p.readable(pool)] != nil }

// readable is the first of the pool's repositories that could be read and gives runners, else one that could be read, else
// its first.
func (p *planner) readable(pool runner.Pool) runner.Target {
	best := pool.Target
	for _, t := range pool.Targets() {
		if p.mints(t) {
			return t
		}
		if p.o.queue.failed[best] != nil && p.o.queue.failed[t] == nil {
			best = t
		}
	}
	return best
}
