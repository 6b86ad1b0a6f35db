package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/github"
	"mayfly/internal/runner"
)

// WaitingJob is a queued job and why it waits.
type WaitingJob struct {
	Job    runner.Job
	Pool   string
	Reason Reason
}

// serveJobs gives every waiting job its reason, and plans a clone for each that needs one.
func (p *planner) serveJobs() {
	turn := p.inTurn()
	covers := map[string][]*entry{}
	for i := range p.s.Pools {
		pool := p.s.Pools[i]
		covers[pool.Name] = p.covers(pool)
		p.open[pool.Name] = max(0, p.wanted[pool.Name]-len(covers[pool.Name]))
	}
	for _, m := range turn {
		j := m.job
		if m.pool == nil {
			if name, r, forbidden := p.forbidden(j); forbidden {
				p.wait(j, name, r)
			} else {
				p.wait(j, "", Reason{WaitNoPool, p.whyNoPool(j)})
			}
			continue
		}
		pool := *m.pool
		if c := covers[pool.Name]; len(c) > 0 {
			covers[pool.Name] = c[1:]
			p.covered[pool.Name]++
			p.wait(j, pool.Name, p.coverReason(c[0]))
			continue
		}
		if r, held := p.held(j, pool); held {
			if r.Code == WaitTotalMax {
				p.cramped++
			}
			p.wait(j, pool.Name, r)
			continue
		}
		if r, spent := p.outOfBudget(j.ID); spent {
			p.wait(j, pool.Name, r)
			continue
		}
		before := len(p.d.actions)
		p.wait(j, pool.Name, p.clone(pool))
		p.made(before, j.ID)
	}
}

// poolFor returns the pool that serves the job: of those that fit and whose policy lets it run, the one with the fewest
// labels, then the one with the highest priority, then by name.
func (p *planner) poolFor(j runner.Job) (*runner.Pool, bool) {
	var best *runner.Pool
	for i := range p.s.Pools {
		pool := &p.s.Pools[i]
		if !p.fits(*pool, j) {
			continue
		}
		if rule, _ := pool.Jobs.Forbids(j); rule != "" {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(len(pool.Labels), len(best.Labels)), cmp.Compare(best.Priority, pool.Priority), cmp.Compare(pool.Name, best.Name)) < 0 {
			best = pool
		}
	}
	return best, best != nil
}

// fits reports whether a runner of the pool could take the job, and is meant to.
func (p *planner) fits(pool runner.Pool, j runner.Job) bool {
	return pool.Serves(j) && (!p.s.Hosted || !pool.LeavesToGitHub(j))
}

func (p *planner) whyNoPool(j runner.Job) string {
	if len(j.Labels) == 0 {
		return "no pool matches: the job's runs-on names no label (a runner group alone); set accept_unlabeled on the pool that shall take such jobs"
	}
	if p.s.Hosted && slices.ContainsFunc(p.s.Pools, func(pool runner.Pool) bool { return pool.Serves(j) }) {
		return fmt.Sprintf("left to GitHub's own runners: runs-on names only labels of theirs, %s; with self-hosted before them it would come here", strings.Join(j.Labels, ","))
	}
	offers := make([]string, 0, len(p.s.Pools))
	for _, pool := range p.s.Pools {
		if pool.Target == j.Target {
			offers = append(offers, fmt.Sprintf("%s offers %s", pool.Name, strings.Join(pool.RegistrationLabels(), ",")))
		}
	}
	if len(offers) == 0 {
		return fmt.Sprintf("no pool matches: none serves %s", j.Target)
	}
	return fmt.Sprintf("no pool matches: runs-on wants %s, %s", strings.Join(j.Labels, ","), strings.Join(offers, "; "))
}

// covers are the pool's runners that answer for one waiting job each, the furthest first.
func (p *planner) covers(pool runner.Pool) []*entry {
	var list []*entry
	for _, e := range p.byPool[pool.Name] {
		if (e.state().CanTakeJob() || e.unexplained(p.now)) && p.counts(e) && !p.lost(e) && !e.outdated {
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, func(a, b *entry) int { return cmp.Compare(rank(b), rank(a)) })
	return list
}

// lost reports whether the runner's node can't be worked with: it is dead, or cut off. Its VM counts until the node is
// back or the VM is gone, and no job is left to it.
func (p *planner) lost(e *entry) bool { return p.o.supply.down(e.node) != "" }

// rank orders runners by how near they are to taking a job.
func rank(e *entry) int {
	order := []runner.State{runner.Planned, runner.Cloning, runner.Configuring, runner.Booting, runner.Registering, runner.Idle, runner.Busy}
	return slices.Index(order, e.state())
}

func (p *planner) coverReason(e *entry) Reason {
	switch e.state() {
	case runner.Idle, runner.Busy:
		return Reason{WaitAssign, "runner " + e.name + " is registered; GitHub assigns the job"}
	case runner.Planned, runner.Cloning, runner.Configuring, runner.Booting, runner.Registering,
		runner.Draining, runner.Destroying, runner.Gone, runner.Failed:
	}
	text := fmt.Sprintf("runner %s is %s", e.name, e.state())
	if e.lastWord != "" {
		text += ": " + e.lastWord
	}
	return Reason{WaitRunner, text}
}

// held returns why no runner can be made for the job now.
func (p *planner) held(j runner.Job, pool runner.Pool) (Reason, bool) {
	l := p.o.ledger
	if p.o.ending != goingOn {
		return Reason{WaitStopping, "Mayfly is stopping"}, true
	}
	if r, standby := p.standsBy(); standby {
		return r, true
	}
	if err := p.o.queue.failed[j.Target]; err != nil {
		if errors.Is(err, github.RateLimited) {
			return Reason{WaitGitHubLimit, "GitHub limits our requests: " + err.Error()}, true
		}
		return Reason{WaitGitHub, "GitHub can't be read: " + err.Error()}, true
	}
	if err := p.o.supply.err; err != nil {
		return Reason{WaitProxmox, "Proxmox can't be read: " + err.Error()}, true
	}
	if age := p.now.Sub(p.o.supply.at); age > p.s.Timing.Stale {
		return Reason{WaitProxmox, fmt.Sprintf("Proxmox was last read %s ago", age.Round(time.Second))}, true
	}
	if r, bad := p.noBase(pool); bad {
		return r, true
	}
	if p.alive[pool.Name] >= pool.Max && !p.mustShow() {
		return Reason{WaitPoolMax, fmt.Sprintf("pool %s is at its max of %d", pool.Name, pool.Max)}, true
	}
	if p.total >= p.s.MaxRunners && !p.mustShow() {
		return Reason{WaitTotalMax, fmt.Sprintf("all pools together are at their max of %d", p.s.MaxRunners)}, true
	}
	if r, kept := p.shareHeld(pool); kept {
		return r, true
	}
	if r, waits := p.backsOff(pool); waits {
		return r, true
	}
	if p.o.queue.demand.At.Before(l.turn[pool.Name]) {
		p.d.github = true
		return Reason{WaitCheck, "a runner was just used up; reading the queue again"}, true
	}
	if p.o.supply.unsure {
		return Reason{WaitCloneLimit, "a clone of before the start runs; its log will say which VM it makes"}, true
	}
	_, r, ok := p.findPlace(pool)
	return r, !ok
}

// noBase says why nothing can be cloned for the pool now.
func (p *planner) noBase(pool runner.Pool) (Reason, bool) {
	t, ok := choose(pool, p.o.supply, p.o.ledger, p.now)
	if !ok || t.problem != "" {
		return Reason{cmp.Or(t.code, WaitTemplate), cmp.Or(t.problem, fmt.Sprintf("template %q isn't known yet", pool.Base()))}, true
	}
	if !p.s.lone() {
		return Reason{}, false // another node's copy may do; findPlace tells
	}
	return p.barred(t)
}

// clone plans one more runner for the pool.
func (p *planner) clone(pool runner.Pool) Reason {
	vmid, ok, soonest := pickVMID(p.s, p.taken, p.o.ledger.lastUsed, p.now)
	if !ok {
		text := fmt.Sprintf("no VMID of %d to %d is free", p.s.VMIDs.Start, p.s.VMIDs.End)
		if !soonest.IsZero() {
			p.wakeAt(soonest)
			text += fmt.Sprintf("; the next one in %s", soonest.Sub(p.now).Round(time.Second))
		}
		return Reason{WaitVMIDs, text}
	}
	at, r, ok := p.findPlace(pool)
	if !ok {
		return r
	}
	at.take(pool.Name)
	p.taken[vmid] = true
	p.total++
	p.alive[pool.Name]++
	p.open[pool.Name]--
	p.tasks++
	p.tried[at.from.id] = true
	p.cloned[pool.Name] = true
	p.d.actions = append(p.d.actions, action{step: StepClone, vmid: vmid, pool: pool, node: at.load.name, template: at.from, full: at.full, why: "a job waits"})
	return Reason{WaitRunner, "a runner is being made for it"}
}

func (p *planner) wait(j runner.Job, pool string, r Reason) {
	if p.d.waiting == nil { // a queue may be long
		p.d.waiting = make([]WaitingJob, 0, len(p.o.queue.demand.Jobs))
	}
	p.d.waiting = append(p.d.waiting, WaitingJob{Job: j, Pool: pool, Reason: r})
}
