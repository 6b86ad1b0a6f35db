package fleet

import (
	"fmt"
	"hash/fnv"
	"time"

	"mayfly/internal/runner"
	"mayfly/internal/schedule"
)

// warmTasks is how many clones and destroys may run while one more is begun for a runner that no job waits for: at most
// half of maxStorageTasks, so that a job that comes meanwhile finds room.
const warmTasks = maxStorageTasks / 2

// ageSpread is the part of a warm runner's greatest age that chance takes off, so that those that were made together
// don't go together.
const ageSpread = 0.25

// roomPerPass is how many warm runners one pass removes for jobs of other pools.
const roomPerPass = 2

// schedules are a pool's two, ready to ask.
type schedules struct{ idle, spares schedule.Schedule }

// compile reads the pools' schedules, which config has checked.
func (s *Spec) compile() error {
	s.schedules = map[string]schedules{}
	for _, p := range s.Pools {
		idle, err := schedule.Parse(p.MinIdleSchedule, p.TimeZone)
		if err != nil {
			return fmt.Errorf("fleet: pool %s: min_idle_schedule: %w", p.Name, err)
		}
		spares, err := schedule.Parse(p.BootedSparesSchedule, p.TimeZone)
		if err != nil {
			return fmt.Errorf("fleet: pool %s: booted_spares_schedule: %w", p.Name, err)
		}
		s.schedules[p.Name] = schedules{idle: idle, spares: spares}
	}
	return nil
}

// level is how many warm runners a pool shall have: idle are registered, spares only up.
type level struct{ idle, spares int }

func (l level) all() int { return l.idle + l.spares }

// level gives what holds for a pool now. VMs that get their identity before they start can't wait without one.
func (p *planner) level(pool runner.Pool) level {
	if l, known := p.levels[pool.Name]; known {
		return l
	}
	s := p.s.schedules[pool.Name]
	l := level{idle: s.idle.At(p.now, pool.MinIdle), spares: s.spares.At(p.now, pool.BootedSpares)}
	t, _ := choose(pool, &p.o.supply, p.o.ledger, p.now)
	if _, seeds := p.s.seeds(t); seeds {
		l.spares = 0
	}
	p.levels[pool.Name] = l
	return l
}

// isSpare reports whether the runner is up and waits for an identity.
func (e *entry) isSpare() bool {
	return e.op == nil && !e.ready.IsZero() && e.delivered.IsZero() && e.failed == "" && e.stopped.IsZero() && e.finished.IsZero()
}

// settled reports whether a warm runner is as warm as it gets: a booted spare, or an idle runner.
func (e *entry) settled() bool { return e.isSpare() || e.op == nil && e.state() == runner.Idle }

// registers reports whether the runner has its identity or is about to get it.
func (e *entry) registers() bool {
	return !e.delivered.IsZero() || !e.seeded.IsZero() || e.op != nil && (e.op.step == StepRegister || e.op.step == StepSeed)
}

// keepWarm plans the runners that no job waits for: it makes what is missing, keeps what is wanted, lets the rest be idle
// for its time, and replaces what is old, one at a time. Jobs come first: it is called when they are served.
func (p *planner) keepWarm() {
	if p.o.ending != goingOn || p.o.queue.at.IsZero() || !p.usable() {
		return
	}
	for _, pool := range p.s.Pools {
		p.warm(pool)
		p.giveWay(pool)
	}
	p.makeRoom()
}

// free are the pool's runners that could take a job and answer for none.
func (p *planner) free(pool runner.Pool) []*entry {
	var list []*entry
	for _, e := range p.covers(pool) {
		if !p.answers[e.vmid] && e.state().CanTakeJob() && !p.left(e) {
			list = append(list, e)
		}
	}
	return list
}

func (p *planner) warm(pool runner.Pool) {
	want, free := p.level(pool), p.free(pool)
	p.keep(want, free)
	if want.all() == 0 {
		return
	}
	old, why := p.oldest(pool, free)
	missing := want.all() - len(free)
	if old != nil {
		missing++ // the one that takes its place comes first
	}
	cramped := false
	for ; missing > 0; missing-- {
		if r, made := p.makeWarm(pool); !made {
			cramped = r.Code == WaitPoolMax || r.Code == WaitTotalMax || r.Code == WaitVMIDs
			break
		}
	}
	if old == nil || p.wanted[pool.Name] > 0 || !cramped && len(free) <= want.all() || len(free) < want.all() {
		return
	}
	for _, e := range free {
		if !e.settled() {
			return
		}
	}
	p.retire[old.vmid] = why
}

// keep notes which of the free runners are wanted. The rest, the ones that have waited longest, are surplus: they stay
// for idle_timeout, and a job that comes meanwhile gets them.
func (p *planner) keep(want level, free []*entry) {
	var registered, others []*entry
	for _, e := range free {
		if e.registers() {
			registered = append(registered, e)
		} else {
			others = append(others, e)
		}
	}
	surplus := max(0, len(registered)-want.idle)
	for _, e := range registered[surplus:] {
		p.kept(e)
	}
	surplus = max(0, len(others)-want.spares-max(0, want.idle-len(registered)))
	for _, e := range others[surplus:] {
		p.kept(e)
	}
}

func (p *planner) kept(e *entry) {
	p.keeps[e.vmid] = true
	p.d.kept = append(p.d.kept, e.vmid)
}

// oldest returns the first of the free runners that another has to replace, and why.
func (p *planner) oldest(pool runner.Pool, free []*entry) (*entry, string) {
	for _, e := range free {
		if !e.settled() {
			continue
		}
		if why := p.outOfDate(pool, e); why != "" {
			return e, why
		}
	}
	return nil, ""
}

// outOfDate says why a warm runner is no longer what the pool would make now.
func (p *planner) outOfDate(pool runner.Pool, e *entry) string {
	if e.shape == "" {
		return "it was made before its notes told its shape"
	}
	if !p.s.runsOn(e.node) || !pool.RunsOn(e.node) {
		return "it is on node " + e.node + ", where its pool makes none"
	}
	if t, ok := choose(pool, &p.o.supply, p.o.ledger, p.now); ok && t.problem == "" && e.template != 0 && t.id != 0 && !p.current(pool, e.template) {
		return fmt.Sprintf("it is of an earlier template (VM %d), and new ones come from VM %d", e.template, t.id)
	}
	if pool.SpareMaxAge <= 0 {
		return ""
	}
	return p.after(e.created.Add(maxAge(pool, e.name)), "it waited for a job until it was as old as spare_max_age allows (%s)", pool.SpareMaxAge)
}

// maxAge is how old the runner of that name may get: its name decides on its part of ageSpread.
func maxAge(pool runner.Pool, name string) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	share := float64(h.Sum32()%1000) / 1000
	return pool.SpareMaxAge - time.Duration(share*ageSpread*float64(pool.SpareMaxAge))
}

// makeWarm plans a clone that no job waits for, or says why it can't.
func (p *planner) makeWarm(pool runner.Pool) (Reason, bool) {
	if p.tasks >= warmTasks {
		return Reason{WaitCloneLimit, fmt.Sprintf("%d clones and destroys run already", p.tasks)}, false
	}
	if r, held := p.held(runner.Job{Target: p.readable(pool)}, pool); held {
		return r, false
	}
	before := len(p.d.actions)
	r := p.clone(&pool)
	if len(p.d.actions) == before {
		return r, false
	}
	p.d.actions[before].why = "the pool shall have a warm runner more"
	return r, true
}

// makeRoom gives jobs that wait for nothing but room the places of warm runners that other pools have, a few at a time:
// spares first, because they are nobody's yet.
func (p *planner) makeRoom() {
	needed := p.cramped
	if needed == 0 {
		return
	}
	for _, e := range p.o.ledger.runners {
		if s := e.state(); s == runner.Destroying || s == runner.Draining || s == runner.Failed || p.misfitGoes(e) != "" {
			needed-- // that one's place comes soon
		}
	}
	needed = min(needed, roomPerPass)
	for _, wantSpare := range []bool{true, false} {
		for _, pool := range p.s.Pools {
			for _, e := range p.free(pool) {
				if needed <= 0 {
					return
				}
				if e.settled() && e.isSpare() == wantSpare && p.retire[e.vmid] == "" {
					p.retire[e.vmid] = "a job of another pool needs its place"
					needed--
				}
			}
		}
	}
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// WarmStatus is what a pool has and wants of runners that no job waits for; pools that want none are left out.
type WarmStatus struct {
	Pool string `json:"pool"`
	// MinIdle and BootedSpares are what is wanted now, by the schedules.
	MinIdle      int `json:"min_idle"`
	Idle         int `json:"idle"`
	BootedSpares int `json:"booted_spares"`
	Spares       int `json:"spares"`
}

// warmStatus counts the warm runners of each pool that has or wants some.
func (c *Controller) warmStatus(now time.Time) []WarmStatus {
	list := []WarmStatus{}
	for _, pool := range c.spec.Pools {
		s := c.spec.schedules[pool.Name]
		w := WarmStatus{Pool: pool.Name, MinIdle: s.idle.At(now, pool.MinIdle), BootedSpares: s.spares.At(now, pool.BootedSpares)}
		for _, e := range c.ledger.runners {
			switch {
			case e.pool != pool.Name:
			case e.isSpare():
				w.Spares++
			case e.state() == runner.Idle:
				w.Idle++
			}
		}
		if w != (WarmStatus{Pool: pool.Name}) {
			list = append(list, w)
		}
	}
	return list
}
