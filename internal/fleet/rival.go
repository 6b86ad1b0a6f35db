package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// rival is another dispatcher's process that works on our installation at the same time, by mistake. It is found by a
// marker that it wrote after our own start; what was made before is an earlier life's, as after any restart.
type rival struct {
	process runner.Process
	// The youngest of its runners that was seen: which, made when by its clock, and seen first when by ours.
	runner  string
	vmid    int
	node    string
	created time.Time
	seen    time.Time
	noticed time.Time // when the first of them was seen
	said    bool      // that it is there
}

// RivalStatus is another dispatcher's process that works on our installation.
type RivalStatus struct {
	Process runner.Process `json:"process"`
	// Runner is the youngest of its runners, and Seen when that was first seen.
	Runner string    `json:"runner"`
	VMID   int       `json:"vmid"`
	Node   string    `json:"node"`
	Seen   time.Time `json:"seen"`
	// Earlier says that it began before this process, which therefore stands by.
	Earlier bool `json:"earlier"`
}

// absorbRivals notes the markers that other processes wrote since this one began.
func (l *ledger) absorbRivals(s Spec, o supply) {
	if s.alone {
		return
	}
	made := map[string]bool{} // processes of which there is a VM
	for _, id := range sortedKeys(o.vms) {
		v := o.vms[id]
		m := v.marker
		if v.unclaimed != "" || v.unread || m.Process.ID == l.process.ID {
			continue
		}
		made[m.Process.ID] = true
		if !m.Created.After(l.process.Started) {
			continue
		}
		r := l.rivals[m.Process.ID]
		if r == nil {
			r = &rival{process: m.Process}
			l.rivals[m.Process.ID] = r
		}
		if m.Created.After(r.created) {
			if !r.alive(s, o.at) {
				r.noticed = o.at
			}
			r.runner, r.vmid, r.node, r.created, r.seen = m.Runner, id, v.node, m.Created, o.at
		}
	}
	for id, r := range l.rivals {
		if !made[id] && !r.said && !r.alive(s, o.at) { // with a VM of it left, its old markers would be news again
			delete(l.rivals, id)
		}
	}
}

// alive reports whether the rival has shown something new lately.
func (r *rival) alive(s Spec, now time.Time) bool { return now.Before(r.seen.Add(s.Timing.RivalGone)) }

// rivalsNow lists the rivals that are alive, the earliest first.
func (l *ledger) rivalsNow(s Spec, now time.Time) []*rival {
	var list []*rival
	for _, r := range l.rivals {
		if r.alive(s, now) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *rival) int { return a.process.Compare(b.process) })
	return list
}

// leader returns the rival that this process stands by for: of all that work on the installation the one that began
// first goes on, and all of them come to the same result.
func (l *ledger) leader(s Spec, now time.Time) (*rival, bool) {
	list := l.rivalsNow(s, now)
	if len(list) == 0 || list[0].process.Compare(l.process) > 0 {
		return nil, false
	}
	return list[0], true
}

// left reports whether a runner is another process's to look after: that made it and is alive, or this process stands by
// and hasn't made it itself.
func (l *ledger) left(s Spec, e *entry, now time.Time) bool {
	if len(l.rivals) == 0 || !e.adopted || e.process.ID == l.process.ID {
		return false
	}
	if r := l.rivals[e.process.ID]; r != nil && r.alive(s, now) {
		return true
	}
	_, standby := l.leader(s, now)
	return standby
}

// mustShow reports whether one runner may be made beyond a limit: a later process that fills the limits would never see a
// runner of this one, and never stand by.
func (p *planner) mustShow() bool {
	if len(p.cloned) > 0 {
		return false
	}
	l := p.o.ledger
	for _, e := range l.runners {
		if !e.adopted && e.cloned.IsZero() { // on its way
			return false
		}
	}
	return slices.ContainsFunc(l.rivalsNow(p.s, p.now), func(r *rival) bool {
		return r.process.Compare(l.process) > 0 && l.lastMade.Before(r.noticed)
	})
}

// counts reports whether the runner answers for a waiting job. One that is left to another process does when GitHub has
// it online and will give it a job; before that nobody here knows what becomes of it.
func (p *planner) counts(e *entry) bool {
	return !e.online.IsZero() || !p.left(e)
}

func (p *planner) left(e *entry) bool { return p.o.ledger.left(p.s, e, p.now) }

// standsBy says why no runner is made while another process leads.
func (p *planner) standsBy() (Reason, bool) {
	r, standby := p.o.ledger.leader(p.s, p.now)
	if !standby {
		return Reason{}, false
	}
	p.wakeAt(r.seen.Add(p.s.Timing.RivalGone))
	return Reason{WaitStandby, r.standbyWords(p.s)}, true
}

// name is how people find the process: in its log ("mayfly process") and in the notes of its VMs.
func (r *rival) name() string {
	if r.process.IsZero() {
		return "a process of an older Mayfly"
	}
	return fmt.Sprintf("process %s, started %s", r.process.ID, r.process.Started.Format(time.RFC3339))
}

func (r *rival) standbyWords(s Spec) string {
	return fmt.Sprintf("this process stands by: another dispatcher of installation %s began before it and makes runners (%s; last: %s, VM %d on %s); stop one of the two, or give one an installation and VMIDs of its own; this one goes on %s after the other's last new runner",
		s.Installation, r.name(), r.runner, r.vmid, r.node, s.Timing.RivalGone)
}

func (r *rival) warningWords(s Spec) string {
	return fmt.Sprintf("another dispatcher of installation %s makes runners beside this one (%s; last: %s, VM %d on %s), though it began later and should stand by; stop one of the two, or give one an installation and VMIDs of its own",
		s.Installation, r.name(), r.runner, r.vmid, r.node)
}

// sayRivals tells in the log when a rival appears, and when one has shown nothing new for long enough.
func (c *Controller) sayRivals(now time.Time) {
	for _, id := range sortedKeys(c.ledger.rivals) {
		r := c.ledger.rivals[id]
		alive := r.alive(c.spec, now)
		earlier := r.process.Compare(c.ledger.process) < 0
		switch {
		case alive == r.said:
			continue
		case alive && earlier:
			c.log.Error("standby", "rival", r.process.ID, "runner", r.runner, "vmid", r.vmid, "node", r.node, "reason", r.standbyWords(c.spec))
		case alive:
			c.log.Warn("second dispatcher", "rival", r.process.ID, "runner", r.runner, "vmid", r.vmid, "node", r.node, "reason", r.warningWords(c.spec))
		default:
			c.log.Info("rival gone", "rival", r.process.ID, "reason", fmt.Sprintf("it has made no runner for %s; those it left are taken over", c.spec.Timing.RivalGone))
		}
		r.said = alive
	}
}

// publishRivals puts the rivals into the status: an earlier one keeps this process from serving, a later one is a warning.
func (c *Controller) publishRivals(s *Status) {
	s.Process = c.ledger.process
	s.Rivals = []RivalStatus{}
	for _, r := range c.ledger.rivalsNow(c.spec, s.At) {
		earlier := r.process.Compare(c.ledger.process) < 0
		s.Rivals = append(s.Rivals, RivalStatus{Process: r.process, Runner: r.runner, VMID: r.vmid, Node: r.node, Seen: r.seen, Earlier: earlier})
		if !earlier {
			s.Warnings = append(s.Warnings, r.warningWords(c.spec))
		}
	}
	if r, standby := c.ledger.leader(c.spec, s.At); standby {
		s.Standby = strings.TrimSpace(r.standbyWords(c.spec))
	}
}

// replaced ends runners whose VMID holds another runner of ours: another process destroyed the VM and used the VMID again.
func (c *Controller) replaced(o supply, now time.Time) {
	for _, id := range sortedKeys(c.ledger.runners) {
		e, v := c.ledger.runners[id], o.vms[id]
		if e.op != nil || e.name == "" || e.cloned.IsZero() || v.unclaimed != "" || v.unread || !v.readAt.After(e.cloned) ||
			v.marker.Runner == "" || v.marker.Runner == e.name {
			continue
		}
		c.succeeded(action{registration: e.registration, target: e.target, name: e.name}, v.marker)(e, now)
	}
}

// succeeded is the end of a runner whose VMID another runner of ours has by now.
func (c *Controller) succeeded(a action, by runner.Marker) outcome {
	return func(e *entry, now time.Time) {
		c.log.Warn("vm replaced", "runner", e.name, "vmid", e.vmid, "node", e.node, "reason",
			fmt.Sprintf("another dispatcher of this installation destroyed it, and its VMID is runner %s's now", by.Runner))
		c.owe(a, now)
		c.forget(e, now)
	}
}
