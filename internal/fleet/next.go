package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// nextStep plans the one next step of a runner. The order of the cases is the order of a life read backwards: what
// ends it comes first.
func (p *planner) nextStep(e *entry) {
	if e.op != nil {
		return
	}
	if p.now.Before(e.notUntil) {
		p.wakeAt(e.notUntil)
		return
	}
	if p.lost(e) {
		return
	}
	if e.cloned.IsZero() { // found by its task after a restart
		if i := slices.IndexFunc(p.o.supply.tasks, func(t ownTask) bool { return t.vmid == e.vmid }); i >= 0 {
			p.act(e, action{step: StepFollow, task: p.o.supply.tasks[i], why: "it was asked for before a restart"})
		}
		return
	}
	if !e.missingVM.IsZero() {
		if due := e.missingVM.Add(vanishConfirm); p.now.Before(due) || !p.o.supply.at.After(e.missingVM) {
			p.wakeAt(due)
			return
		}
		p.act(e, action{step: StepForget, why: "Proxmox lists it no more"})
		return
	}
	if p.left(e) {
		return
	}
	if !p.usable() || p.o.ledger.isQuarantined(e.vmid) {
		return
	}
	if e.failed != "" && p.unheard(e) {
		p.d.github = true
		return
	}
	if why, force := p.mustGo(e); why != "" {
		p.destroy(e, why, force)
		return
	}
	switch {
	case e.configured.IsZero():
		p.act(e, action{step: StepConfigure, why: "its clone is complete"})
	case e.started.IsZero() && e.seeded.IsZero() && p.mustSeed(e):
		p.mint(e, StepSeed, "a job waits and its VM can start")
	case p.mustEject(e):
		p.act(e, action{step: StepEject, why: "its guest has read its user-data"})
	case e.started.IsZero():
		p.act(e, action{step: StepStart, why: "it is configured", seeded: !e.seeded.IsZero()})
	case e.ready.IsZero():
		p.probe(e)
	case e.delivered.IsZero():
		p.mint(e, StepRegister, "a job waits and its guest is ready")
	default:
		p.watch(e)
	}
}

// usable reports whether the last look at Proxmox is fresh enough to touch anything.
func (p *planner) usable() bool {
	return p.o.supply.err == nil && p.now.Sub(p.o.supply.at) <= p.s.Timing.Stale
}

// inPool is the resource pool that a runner's VM is in, as the last look shows; a VM that was cloned since then is where its
// clone put it.
func (p *planner) inPool(e *entry) string {
	if !e.adopted && p.o.supply.at.Before(e.cloned) {
		return p.s.ResourcePool
	}
	return p.o.supply.vms[e.vmid].inPool
}

func (p *planner) act(e *entry, a action) {
	a.vmid, a.name, a.node = e.vmid, e.name, e.node
	pool, _ := p.s.poolOf(e)
	a.pool = &pool
	a.inPool = p.inPool(e)
	a.registration, a.target, a.contract = e.registration, e.target, e.contract
	a.way, a.medium, a.theirs = e.way, e.medium, p.left(e)
	if a.step == StepSeed {
		a.way, _ = p.seedsEntry(e)
	}
	if a.target == (runner.Target{}) {
		a.target = a.pool.Target
	}
	switch {
	case !e.missingSince.IsZero() && (!e.stopped.IsZero() || !e.finished.IsZero()):
		a.registration = 0 // GitHub removed it with its job
	case e.registration == 0 && (e.minting || e.adopted):
		a.lookIn = p.lookIn(e, pool)
		if e.job != 0 && e.jobOver.IsZero() {
			a.works = e.job
		}
	}
	p.d.actions = append(p.d.actions, a)
}

// mustGo says why a runner has to be destroyed now, and whether even a busy registration may not keep it.
func (p *planner) mustGo(e *entry) (why string, force bool) {
	t := p.s.Timing
	_, known := p.s.Pool(e.pool)
	pool, remembered := p.s.poolOf(e)
	if !remembered {
		pool = runner.Pool{BootTimeout: t.Start, IdleTimeout: t.Register, MaxJobDuration: 24 * time.Hour}
	}
	switch drain := p.mustDrain(e); {
	case !e.stopped.IsZero():
		return "it powered off", true
	case e.failed != "":
		return e.failed, !e.halted.IsZero() // what runs in a halted VM is lost
	case !known && e.busy.IsZero():
		return "its pool is no longer configured", false
	case e.outdated && e.state() == runner.Idle:
		return "its pool registers runners otherwise now", false
	case p.misfitGoes(e) != "":
		return p.misfitGoes(e), false
	case drain != "":
		return drain, false
	case p.forlorn(e) != "":
		return p.forlorn(e), false
	case !e.finished.IsZero():
		return p.after(e.finished.Add(t.Linger), "its listener ended but it did not power off"), true
	case !e.busy.IsZero():
		return p.after(jobDeadline(e, pool), "its job ran longer than %s", pool.MaxJobDuration), true
	case e.ready.IsZero() && e.adopted && !e.probed:
		return "", false // nobody has asked it yet
	case e.ready.IsZero() && !e.started.IsZero():
		return strings.TrimSuffix(p.after(e.started.Add(pool.BootTimeout), "its guest was not ready after %s: %s", pool.BootTimeout, e.lastWord), ": "), false
	case e.ready.IsZero():
		return "", false
	case e.delivered.IsZero() && e.adopted && e.registration != 0 && !p.mustSeed(e):
		return lostIdentity, false
	case p.retire[e.vmid] != "":
		return p.retire[e.vmid], false
	case e.delivered.IsZero() && (p.wanted[e.pool] > 0 || p.keeps[e.vmid]):
		return "", false
	case e.delivered.IsZero():
		return p.after(later(e.ready, e.kept).Add(pool.IdleTimeout), "no job wants it any more"), false
	case e.online.IsZero() && !e.seeded.IsZero():
		limit := pool.BootTimeout + t.Register
		return p.afterReading(e, e.started.Add(limit), "it did not come online within %s of its start", limit), false
	case e.online.IsZero():
		return p.afterReading(e, e.delivered.Add(t.Register), "it did not come online within %s of getting its identity", t.Register), false
	case e.missingSince.IsZero() && p.wantedOf(e) > 0:
		return p.ghost(e, pool), false
	case e.missingSince.IsZero() && p.wantedOf(e) == 0 && !p.keeps[e.vmid]:
		return p.afterReading(e, later(e.online, e.kept).Add(pool.IdleTimeout), "it was idle for %s", pool.IdleTimeout), false
	}
	return "", false
}

// afterReading is after, for what only GitHub knows: the time has come when GitHub was read since then, and it was
// still so. While GitHub can't be read nobody knows.
func (p *planner) afterReading(e *entry, t time.Time, format string, args ...any) string {
	why := p.after(t, format, args...)
	if why == "" || p.readSince(e, t) {
		return why
	}
	p.d.github = true
	return ""
}

// readSince reports whether the runner's target was read at t or later.
func (p *planner) readSince(e *entry, t time.Time) bool {
	target, _ := p.s.targetOf(e)
	_, read := p.o.queue.registrations[target]
	return read && p.o.queue.failed[target] == nil && !p.o.queue.at.Before(t)
}

// unheard reports whether a runner of before a restart may have a job that GitHub has yet to tell of.
func (p *planner) unheard(e *entry) bool {
	_, known := p.s.targetOf(e)
	return known && e.adopted && e.registration == 0 && e.halted.IsZero() && !p.readSince(e, time.Time{})
}

// after gives why once the time has come, and makes sure that the plan is made again then. Most often it hasn't, and no words
// are made.
func (p *planner) after(t time.Time, format string, args ...any) string {
	if p.now.Before(t) {
		p.wakeAt(t)
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// jobDeadline counts from when the job was first seen. Where that was after a restart, the creation of the VM, which is
// in its marker, bounds it too: a crash loop can't put the deadline off for ever.
func jobDeadline(e *entry, pool runner.Pool) time.Time {
	deadline := e.busy.Add(pool.MaxJobDuration)
	if latest := e.created.Add(pool.BootTimeout + pool.IdleTimeout + pool.MaxJobDuration); e.adopted && latest.Before(deadline) {
		return latest
	}
	return deadline
}

// destroy plans the end of a runner.
func (p *planner) destroy(e *entry, why string, force bool) {
	if p.tasksFull(e) || !p.o.supply.at.After(e.cloned) { // the next look tells its resource pool
		return
	}
	sweeps := p.sweeps(e)
	if !p.maySweep(e) {
		return
	}
	p.addTask(e)
	stopped := p.o.supply.vms[e.vmid].status == "stopped"
	p.act(e, action{step: StepDestroy, why: why, force: force, sweeps: sweeps, unfit: p.misfit(e) != "", stopped: stopped, unsure: !stopped && e.delivered.IsZero()})
}

// mustSeed reports whether the runner gets its identity before it starts.
func (p *planner) mustSeed(e *entry) bool {
	_, seeds := p.seedsEntry(e)
	return seeds
}

// seedsEntry is the way that was chosen when the runner was cloned, or, where that isn't known any more, its template's.
func (p *planner) seedsEntry(e *entry) (Way, bool) {
	if e.way != "" {
		return e.way, e.way.seeds()
	}
	pool, known := p.s.Pool(e.pool)
	way, seeds := p.s.seeds(p.o.supply.baseOf(e, pool))
	return way, known && seeds
}

// mint gives a runner an identity when there is a job for it: minted late, an identity doesn't age unused.
func (p *planner) mint(e *entry, step Step, why string) {
	pool, _ := p.s.Pool(e.pool)
	if p.unreadable(pool) || p.misfit(e) != "" {
		return
	}
	if p.o.queue.demand.At.Before(p.o.ledger.turn[e.pool]) {
		p.d.github = true
		return
	}
	registered := p.identities(e.pool)
	if target, wants := p.mintAt(e, pool, registered); wants {
		p.act(e, action{step: step, why: why})
		p.d.actions[len(p.d.actions)-1].target = target
		registered[target]++
	}
}

// identities counts the runners of a pool that have an identity and no job, and those that are to get one, by repository. They are
// looked through once: mint adds what the plan itself gives.
func (p *planner) identities(pool string) map[runner.Target]int {
	if n, counted := p.registered[pool]; counted {
		return n
	}
	n := map[runner.Target]int{}
	for _, e := range p.byPool[pool] {
		if e.outdated || p.lost(e) || p.misfit(e) != "" {
			continue
		}
		s := e.state()
		onItsWay := s == runner.Booting && (!e.seeded.IsZero() || e.op != nil && e.op.step == StepSeed)
		if s == runner.Registering || s == runner.Idle || onItsWay || e.unexplained(p.now) {
			at, _ := p.s.targetOf(e)
			n[at]++
		}
	}
	p.registered[pool] = n
	return n
}

// watch follows a runner that has its identity. When GitHub misses it, or doesn't see it online, the guest is asked: it
// knows best whether its job, or its listener, is over.
func (p *planner) watch(e *entry) {
	if !e.finished.IsZero() { // it has said all, and lingers
		return
	}
	if e.missingSince.IsZero() && !e.silent() {
		return
	}
	pool, _ := p.s.Pool(e.pool)
	t := p.o.supply.baseOf(e, pool)
	agentOff := t.id != 0 && !t.cfg.AgentEnabled
	switch {
	case !e.missingSince.IsZero():
		p.act(e, action{step: StepInspect, why: "its registration is gone", agentOff: agentOff})
	case !agentOff:
		p.ask(e)
	}
}

func (l *ledger) isQuarantined(vmid int) bool {
	_, yes := l.quarantined[vmid]
	return yes
}
