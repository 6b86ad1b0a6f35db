package fleet

import (
	"strconv"
	"time"

	"mayfly/internal/runner"
)

// vanishConfirm is how long a VM must be missing from Proxmox's list before it is given up: the list of what exists is
// live, but one answer may come from a node that has just rejoined.
const vanishConfirm = 5 * time.Second

// absorbSupply brings the ledger up to date with a look at Proxmox.
func (l *ledger) absorbSupply(s Spec, o supply) {
	for id, v := range o.vms {
		if v.unclaimed != "" || v.unread || l.runners[id] != nil || o.at.Before(l.lastUsed[id]) {
			continue
		}
		l.adopt(v, o.at)
	}
	for _, t := range o.tasks {
		if e := l.runners[t.vmid]; e != nil || o.at.Before(l.lastUsed[t.vmid]) {
			continue
		}
		e := &entry{vmid: t.vmid, node: t.upid.Node(), created: t.since, adopted: true, ending: t.destroys()}
		if !t.destroys() {
			e.pool = poolOfTemplate(s, o, t.upid.ID())
		}
		l.runners[t.vmid] = e
	}
	for _, t := range o.stops {
		if e := l.runners[t.vmid]; e != nil && e.op == nil && e.failed == "" && !o.at.Before(l.lastUsed[t.vmid]) {
			e.failed, e.notUntil = beingStopped, o.at.Add(s.Timing.Stop)
		}
	}
	for id, e := range l.runners {
		v, there := o.vms[id]
		switch {
		case e.op != nil || e.cloned.IsZero() || !o.at.After(e.cloned) || v.unread:
			continue
		case !there:
			if e.missingVM.IsZero() {
				e.missingVM = o.at
			}
			continue
		}
		e.missingVM = time.Time{}
		e.node = v.node
		if e.started.IsZero() && !e.stopped.IsZero() && v.status == "running" {
			// It was found stopped after a restart while its start was still under way.
			e.started, e.stopped = o.at, time.Time{}
		}
		if e.started.IsZero() && v.status == "running" && l.left(s, e, o.at) {
			e.configured, e.started = o.at, o.at // by the process that made it
		}
		if e.stopped.IsZero() && !e.started.IsZero() && o.at.After(e.started) && v.status == "stopped" {
			e.stopped, e.notUntil = o.at, time.Time{} // whatever was waited for in it, it is over
		}
	}
}

// beingStopped ends a runner whose VM a process that has ended was stopping: it still runs, and whatever it is given ends with it.
const beingStopped = "its VM is being stopped since before a restart"

// poolOfTemplate guesses the pool of a clone that isn't finished: its marker, which names the pool, is still hidden.
func poolOfTemplate(s Spec, o supply, id string) string {
	for _, p := range s.Pools {
		if vmid, err := strconv.Atoi(id); err == nil && o.has(p, vmid) {
			return p.Name
		}
	}
	return ""
}

// adopt takes up a runner that the ledger doesn't know: it was made before a restart. How far it is, the next steps
// find out.
func (l *ledger) adopt(v vm, at time.Time) {
	e := &entry{
		vmid: v.id, node: v.node, name: v.marker.Runner, pool: v.marker.Pool, template: v.marker.Template, created: v.marker.Created,
		cloned: v.marker.Created, configured: v.marker.Created, adopted: true, medium: true, process: v.marker.Process, shape: v.marker.Shape,
	}
	if v.marker.Ends {
		e.failed = lostIdentity
	}
	switch {
	case v.status == "running":
		e.started = v.marker.Created
	case v.status == "stopped" && !v.configured:
		e.configured = time.Time{} // so it was never started, and goes on as any other clone
	default:
		// It was never started, or its job is over: nobody can tell, so a fresh one is made where one is needed.
		e.stopped = at
	}
	l.runners[v.id] = e
}

// absorbQueue brings the ledger up to date with a look at GitHub.
func (l *ledger) absorbQueue(s Spec, q queue) {
	byName := map[string]*entry{}
	for _, e := range l.runners {
		byName[e.name] = e
	}
	for target, list := range q.registrations {
		seen := map[string]bool{}
		for _, r := range list {
			seen[r.Name] = true
			if e := byName[r.Name]; e != nil {
				e.target = target
				e.sawRegistration(r, q.at)
				if pool, known := s.Pool(e.pool); known && e.adopted {
					e.outdated = e.outdated || !wears(r, s.labels(pool))
				}
			}
		}
		for _, e := range l.runners {
			at, known := s.targetOf(e)
			if !known || at != target || seen[e.name] || e.registration == 0 || e.delivered.IsZero() {
				continue
			}
			if e.missingSince.IsZero() && q.at.After(e.delivered) {
				e.missingSince = q.at
			}
		}
		l.absorbOrphans(s, target, list, byName, q.at)
		l.absorbRogues(s, target, list, byName, q.at)
	}
	open, busy := map[int64]bool{}, map[string]bool{}
	for _, j := range q.demand.Jobs {
		open[j.ID], busy[j.RunnerName] = true, true
		if e := byName[j.RunnerName]; e != nil && j.RunnerName != "" {
			e.job = j.ID
			if e.busy.IsZero() && j.Status == runner.JobInProgress {
				e.busy = q.at
			}
		}
	}
	l.absorbEnds(q, open, busy)
}

// absorbEnds keeps since when the job of a runner is over for GitHub: it isn't among the open jobs of a target that could
// be read. A short job is never seen there at all: then no open job names the runner, of which the guest said that a job
// has started in it.
func (l *ledger) absorbEnds(q queue, open map[int64]bool, busy map[string]bool) {
	for _, e := range l.runners {
		switch {
		case e.job == 0 && e.busy.IsZero() || q.failed[e.target] != nil:
		case e.job != 0 && open[e.job] || busy[e.name]:
			e.jobOver = time.Time{}
		case e.jobOver.IsZero():
			e.jobOver = q.at
		}
	}
}

func (e *entry) sawRegistration(r runner.Registration, at time.Time) {
	e.registration = r.ID
	e.missingSince, e.dropped = time.Time{}, false
	e.offline = !r.Online && !r.Busy && !e.online.IsZero()
	if (r.Online || r.Busy) && e.online.IsZero() {
		e.online = at
	}
	if e.delivered.IsZero() && e.op == nil && (r.Online || r.Busy) {
		e.ready, e.delivered = at, at // made before a restart, and well on its way
	}
	if r.Busy && e.busy.IsZero() {
		e.busy = at
	}
}

// absorbOrphans keeps since when registrations that are provably ours, are offline and have no VM are seen.
func (l *ledger) absorbOrphans(s Spec, target runner.Target, list []runner.Registration, byName map[string]*entry, at time.Time) {
	here := map[int64]bool{}
	for _, r := range list {
		if r.Online || r.Busy || byName[r.Name] != nil || !s.Registered(target, r) {
			continue
		}
		here[r.ID] = true
		if _, known := l.orphans[r.ID]; !known {
			l.orphans[r.ID] = orphan{target: target, name: r.Name, since: at}
		}
	}
	for id, o := range l.orphans {
		if o.target == target && !here[id] {
			delete(l.orphans, id)
		}
	}
}
