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
	Job    *runner.Job // of the last reading of GitHub, which nobody changes
	Pool   string
	Reason Reason
}

// line is the waiting jobs of one pool while they are served.
type line struct {
	covers []*entry // runners that answer for a job each
	// held says why no runner can be made for the pool, once that is so: what is planned later only takes more.
	held *Reason
}

// serveJobs gives every waiting job its reason, and plans a clone for each that needs one.
func (p *planner) serveJobs() {
	turn := p.inTurn()
	p.d.waiting = make([]WaitingJob, 0, len(turn))
	lines := make([]line, len(p.s.Pools))
	for i := range p.s.Pools {
		pool := p.s.Pools[i]
		lines[i].covers = p.covers(pool)
		p.open[pool.Name] = p.unanswered(pool, lines[i].covers)
	}
	for _, m := range turn {
		if m.pool < 0 {
			if name, r, forbidden := p.forbidden(*m.job); forbidden {
				p.wait(m.job, name, r)
			} else {
				p.wait(m.job, "", Reason{WaitNoPool, p.whyNoPool(*m.job)})
			}
			continue
		}
		pool := &p.s.Pools[m.pool]
		p.wait(m.job, pool.Name, p.serve(m.job, pool, &lines[m.pool]))
	}
}

// serve gives a job of the pool its reason.
func (p *planner) serve(j *runner.Job, pool *runner.Pool, l *line) Reason {
	if i := p.cover(l.covers, pool, j.Target); i >= 0 {
		e := l.covers[i]
		if i == 0 {
			l.covers = l.covers[1:]
		} else {
			l.covers = slices.Delete(l.covers, i, i+1)
		}
		p.answers[e.vmid] = true
		return p.coverReason(e)
	}
	if l.held == nil {
		r, held := p.held(*j, *pool)
		if held && len(pool.More) > 0 && (r.Code == WaitGitHub || r.Code == WaitGitHubLimit) {
			return r // of that repository alone
		}
		if held {
			l.held = &r
		}
	}
	if l.held != nil {
		switch l.held.Code {
		case WaitTotalMax:
			p.cramped++
			p.squeezed[pool.Name]++
		case WaitPoolMax:
			p.squeezed[pool.Name]++
		}
		return *l.held
	}
	if r, spent := p.outOfBudget(j.ID); spent {
		return r
	}
	before := len(p.d.actions)
	r := p.clone(pool)
	if len(p.d.actions) == before {
		l.held = &r
	}
	p.made(before, j.ID)
	return r
}

// poolFor returns the place, among the spec's pools, of the one that serves the job: of those that fit and whose policy
// lets it run, the first in order of preference. It is -1 where there is none.
func (p *planner) poolFor(j *runner.Job) int {
	for _, at := range p.poolsFor(j) {
		jobs := &p.s.Pools[at].Jobs
		if !jobs.Restricts() {
			return at
		}
		if rule, _ := jobs.Forbids(*j); rule == "" {
			return at
		}
	}
	return -1
}

// poolsFor are the places of the pools that fit, the one with the fewest labels first, then the one with the highest
// priority, then by name. A queue is long and its jobs differ in few labels, so the pools are looked through once for each
// list of labels.
func (p *planner) poolsFor(j *runner.Job) []int {
	p.key = append(append(append(p.key[:0], j.Target.Owner...), '/'), j.Target.Repo...)
	for _, l := range j.Labels {
		p.key = append(append(p.key, 0), l...)
	}
	if list, known := p.fitting[string(p.key)]; known {
		return list
	}
	list := []int{}
	for i := range p.s.Pools {
		if p.fits(p.s.Pools[i], *j) {
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(a, b int) int {
		x, y := &p.s.Pools[a], &p.s.Pools[b]
		return cmp.Or(cmp.Compare(len(x.Labels), len(y.Labels)), cmp.Compare(y.Priority, x.Priority), cmp.Compare(x.Name, y.Name))
	})
	p.fitting[string(p.key)] = list
	return list
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
		if pool.At(j.Target) {
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
		if (e.state().CanTakeJob() || e.unexplained(p.now)) && p.counts(e) && !p.lost(e) && !e.outdated && p.misfit(e) == "" {
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
	if r, refuses := p.refuses(j.Target); refuses {
		return r, true
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
	t, ok := choose(pool, &p.o.supply, p.o.ledger, p.now)
	if !ok || t.problem != "" {
		return Reason{cmp.Or(t.code, WaitTemplate), cmp.Or(t.problem, fmt.Sprintf("template %q isn't known yet", pool.Base()))}, true
	}
	if !p.s.lone() {
		return Reason{}, false // another node's copy may do; findPlace tells
	}
	return p.barred(t)
}

// clone plans one more runner for the pool.
func (p *planner) clone(pool *runner.Pool) Reason {
	at, r, ok := p.findPlace(*pool)
	if !ok {
		return r
	}
	vmid, ok := p.vmids.next()
	if !ok {
		text := fmt.Sprintf("no VMID of %d to %d is free", p.s.VMIDs.Start, p.s.VMIDs.End)
		if soonest := p.vmids.soonest; !soonest.IsZero() {
			p.wakeAt(soonest)
			text += fmt.Sprintf("; the next one in %s", soonest.Sub(p.now).Round(time.Second))
		}
		return Reason{WaitVMIDs, text}
	}
	p.take(*pool, at)
	p.taken[vmid] = true
	p.total++
	p.alive[pool.Name]++
	p.open[pool.Name]--
	p.tasks++
	p.cloned[pool.Name] = true
	p.d.actions = append(p.d.actions, action{step: StepClone, vmid: vmid, pool: pool, node: at.load.name, template: at.from, full: at.full, shape: p.shapeOf(*pool, at.from), why: "a job waits"})
	return Reason{WaitRunner, "a runner is being made for it"}
}

func (p *planner) wait(j *runner.Job, pool string, r Reason) {
	p.d.waiting = append(p.d.waiting, WaitingJob{Job: j, Pool: pool, Reason: r})
}
