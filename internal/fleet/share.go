package fleet

import (
	"cmp"
	"fmt"
	"slices"

	"mayfly/internal/runner"
)

// match is a waiting job and the place of the pool that serves it among the spec's; -1 where none does.
type match struct {
	job      *runner.Job
	pool     int
	priority int
}

// inTurn gives the waiting jobs in the order in which they get runners: those of a pool with a higher priority first,
// then the oldest. A job that no pool serves stands where one of priority 0 would.
func (p *planner) inTurn() []match {
	jobs := p.o.queue.demand.Jobs
	list := make([]match, 0, len(jobs))
	needs := make([]need, len(p.s.Pools))
	for i := range jobs {
		j := &jobs[i]
		if !j.Waiting() {
			continue
		}
		m := match{job: j, pool: p.poolFor(j)}
		if m.pool >= 0 {
			pool := &p.s.Pools[m.pool]
			m.priority = pool.Priority
			needs[m.pool].add(j)
			p.wantAt(pool, j)
		}
		list = append(list, m)
	}
	for i, n := range needs {
		if name := p.s.Pools[i].Name; n.jobs > 0 {
			p.wanted[name], p.waits[name] = n.jobs, n.since
		}
	}
	slices.SortFunc(list, func(a, b match) int { // no two jobs have one ID
		return cmp.Or(cmp.Compare(b.priority, a.priority), a.job.CreatedAt.Compare(b.job.CreatedAt), cmp.Compare(a.job.ID, b.job.ID))
	})
	return list
}

// guaranteed is how many VMs of the fleet a pool may always have while its jobs wait: its share of them, rounded down.
func (s Spec) guaranteed(pool runner.Pool) int {
	return min(s.MaxRunners*pool.Share/100, pool.Max)
}

// reserve is how many of the free places are kept from the pool, for others that have less than their share while jobs of
// theirs wait; who names one of those. A pool below its own share is kept from nothing.
func (p *planner) reserve(pool runner.Pool) (n int, who string) {
	if p.alive[pool.Name] < p.s.guaranteed(pool) {
		return 0, ""
	}
	for i := range p.s.Pools {
		other := p.s.Pools[i]
		if other.Share == 0 || other.Name == pool.Name {
			continue
		}
		missing := min(p.s.guaranteed(other)-p.alive[other.Name], p.open[other.Name])
		if missing <= 0 || p.unable(other) {
			continue
		}
		n += missing
		who = cmp.Or(who, other.Name)
	}
	return n, who
}

// unable reports whether no runner could be made for the pool now, whatever room there is: places that are kept for it
// would be of use to nobody. What passes within seconds, such as a queue that has to be read again, doesn't count.
func (p *planner) unable(pool runner.Pool) bool {
	if known, ok := p.cannot[pool.Name]; ok {
		return known
	}
	_, bad := p.noBase(pool)
	_, waits := p.backsOff(pool)
	bad = bad || waits || p.unreadable(pool)
	p.cannot[pool.Name] = bad
	return bad
}

// shareHeld says that the places that are free are kept for other pools.
func (p *planner) shareHeld(pool runner.Pool) (Reason, bool) {
	free := p.s.MaxRunners - p.total
	kept, who := p.reserve(pool)
	if kept == 0 || free > kept {
		return Reason{}, false
	}
	return Reason{WaitShare, fmt.Sprintf("of %d runners in all, %d may still be made, and those are kept for the share of pool %s, whose jobs wait, too", p.s.MaxRunners, free, who)}, true
}
