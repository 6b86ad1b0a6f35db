package fleet

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// labelPrefix begins the label that tells the installation which a runner is of.
const labelPrefix = "mayfly-"

// Label is what every runner of an installation registers with beside its pool's labels. With the form of its name it
// proves on GitHub's side whose a registration is: two installations may share a repository, and a prefix of names.
func Label(installation string) string { return labelPrefix + installation }

// labels are those that a runner of the pool registers with.
func (s Spec) labels(p runner.Pool) []string {
	return append(p.RegistrationLabels(), Label(s.Installation))
}

// Registered is the ownership rule on GitHub's side: it reports whether a registration of that target is provably this
// installation's. Both must agree: the name has the form that a pool of the target gives, and the installation's label
// is there. What isn't is never removed.
func (s Spec) Registered(t runner.Target, r runner.Registration) bool {
	return s.ourName(t, r.Name) && hasLabel(r, Label(s.Installation))
}

func hasLabel(r runner.Registration, label string) bool {
	return slices.ContainsFunc(r.Labels, func(l string) bool { return strings.EqualFold(l, label) })
}

// ourName reports whether a pool of that target could have given the name, or could before it left the target.
func (s Spec) ourName(target runner.Target, name string) bool {
	if !runner.IsName(name) {
		return false
	}
	for _, p := range slices.Concat(s.Pools, s.leaving) {
		if p.At(target) && len(name) > len(p.NamePrefix) && name[:len(p.NamePrefix)+1] == p.NamePrefix+"-" {
			return true
		}
	}
	return false
}

// Rogue says why a registration that isn't provably ours concerns us all the same: it has a name like ours, or takes
// jobs that are ours. "" when it doesn't, or is ours.
func (s Spec) Rogue(t runner.Target, r runner.Registration) string {
	if s.Registered(t, r) {
		return ""
	}
	of := "this installation didn't make it"
	for _, l := range r.Labels {
		if other, is := strings.CutPrefix(l, labelPrefix); is && l != Label(s.Installation) {
			of = fmt.Sprintf("it is of Mayfly's installation %q", other)
		}
	}
	for _, p := range s.Pools {
		if p.At(t) && !slices.ContainsFunc(p.RegistrationLabels(), func(l string) bool { return !hasLabel(r, l) }) {
			return fmt.Sprintf("%s, and it takes jobs of pool %s", of, p.Name)
		}
	}
	if s.ourName(t, r.Name) {
		return of + ", though its name is like ours"
	}
	return ""
}

// RogueStatus is a registration in one of our targets that isn't ours and takes our jobs or our names. It is never
// touched.
type RogueStatus struct {
	ID     int64     `json:"id"`
	Name   string    `json:"name"`
	Target string    `json:"target"`
	Labels []string  `json:"labels"`
	Online bool      `json:"online"`
	Busy   bool      `json:"busy"`
	Since  time.Time `json:"since"` // it was first seen
	Why    string    `json:"why"`
}

// rogue is what the ledger keeps of one.
type rogue struct {
	target runner.Target
	status RogueStatus
	due    time.Time // before, it may be explained yet
	said   bool
}

// absorbRogues keeps since when registrations are seen that nobody here made.
func (l *ledger) absorbRogues(s Spec, target runner.Target, list []runner.Registration, byName map[string]*entry, at time.Time) {
	here := map[int64]bool{}
	for _, r := range list {
		if byName[r.Name] != nil {
			continue
		}
		why, due := s.Rogue(target, r), at
		if s.Registered(target, r) && (r.Online || r.Busy) {
			// Of one whose VM is gone GitHub says for a while that it is online, or busy.
			why, due = "it has our name and our label, but no VM of ours: somebody else may have its identity", at.Add(s.Timing.OrphanGrace+removeLimit)
		}
		if why == "" {
			continue
		}
		here[r.ID] = true
		known, old := l.rogues[r.ID]
		if !old {
			known = rogue{target: target, due: due, status: RogueStatus{Since: at}}
		}
		known.status = RogueStatus{
			ID: r.ID, Name: r.Name, Target: target.String(), Labels: slices.Clone(r.Labels), Online: r.Online, Busy: r.Busy,
			Since: known.status.Since, Why: why,
		}
		l.rogues[r.ID] = known
	}
	for id, r := range l.rogues {
		if r.target == target && !here[id] {
			delete(l.rogues, id)
		}
	}
}

// rogues lists those that are due to be told of, and tells of each in the log once.
func (c *Controller) rogues(now time.Time) []RogueStatus {
	list := []RogueStatus{}
	for _, id := range sortedKeys(c.ledger.rogues) {
		r := c.ledger.rogues[id]
		if now.Before(r.due) {
			continue
		}
		if !r.said {
			r.said = true
			c.ledger.rogues[id] = r
			c.log.Warn("rogue runner", "runner", r.status.Name, "registration", id, "target", r.status.Target,
				"labels", strings.Join(r.status.Labels, ","), "reason", r.status.Why)
		}
		list = append(list, r.status)
	}
	return list
}
