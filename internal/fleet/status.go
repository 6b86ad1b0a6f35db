package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// Health is how one side answers.
type Health struct {
	OK bool `json:"ok"`
	// Error says what is wrong. Beside OK it is of some of GitHub's targets, and the others answer.
	Error  string    `json:"error,omitempty"`
	Since  time.Time `json:"since,omitzero"` // of the trouble
	LastOK time.Time `json:"last_ok,omitzero"`
}

// RunnerStatus is one runner for people.
type RunnerStatus struct {
	Name    string       `json:"name"`
	VMID    int          `json:"vmid"`
	Node    string       `json:"node"`
	Pool    string       `json:"pool"`
	State   runner.State `json:"state"`
	Created time.Time    `json:"created"`
	Job     int64        `json:"job,omitempty"`
	Run     int64        `json:"run,omitempty"` // of the job, where the last reading of GitHub has it
	// Spare says that the VM is up and waits for an identity.
	Spare bool `json:"spare,omitempty"`
	// Template is the VMID that its VM was cloned from, where that is known.
	Template int    `json:"template,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// WaitingStatus is one waiting job for people.
type WaitingStatus struct {
	Job    int64     `json:"job"`
	Run    int64     `json:"run"`
	Name   string    `json:"name"`
	Target string    `json:"target"`
	Labels []string  `json:"labels"`
	Pool   string    `json:"pool,omitempty"`
	Since  time.Time `json:"since"`
	Reason Reason    `json:"reason"`
}

// HandoffStatus is the way by which a template's runners get their identity, and why that one.
type HandoffStatus struct {
	Template string `json:"template"`
	Handoff  Way    `json:"handoff,omitempty"` // "" while none works
	Reason   string `json:"reason"`
}

// UnclaimedStatus is a VM in our range that isn't provably ours.
type UnclaimedStatus struct {
	VMID int    `json:"vmid"`
	Node string `json:"node"`
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Status is the fleet at one moment.
type Status struct {
	At time.Time `json:"at"`
	// Ready is whether new jobs can be served; Reasons says why not.
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
	// Warnings says what will keep new jobs from being served if nobody does anything.
	Warnings []string `json:"warnings"`
	// Process is this one's own; Rivals are others at work on the same installation, by mistake, and Standby says why
	// this one leaves the work to one of them.
	Process    runner.Process    `json:"process"`
	Rivals     []RivalStatus     `json:"rivals"`
	Standby    string            `json:"standby,omitempty"`
	Handoffs   []HandoffStatus   `json:"handoffs"`
	Proxmox    Health            `json:"proxmox"`
	GitHub     Health            `json:"github"`
	Pools      []PoolStatus      `json:"pools"`
	Capacity   CapacityStatus    `json:"capacity"`
	Nodes      []NodeStatus      `json:"nodes"`
	Runners    []RunnerStatus    `json:"runners"`
	Warm       []WarmStatus      `json:"warm"`
	Waiting    []WaitingStatus   `json:"waiting"`
	Unclaimed  []UnclaimedStatus `json:"unclaimed"`
	Quarantine []Quarantine      `json:"quarantine"`
	// Cordons are nodes, storages and templates' copies that are left alone because VMs kept failing there.
	Cordons []CordonStatus `json:"cordons"`
	// LeftDisks are disks that destroys of ours left on their storage, as of the last look an hour ago at most.
	LeftDisks []LeftDisk `json:"left_disks"`
	// Rogues are registrations in our targets that take our jobs or our names and that nobody here made.
	Rogues []RogueStatus `json:"rogues"`
}

// Event is one change of a runner's state, for a dashboard or a demo.
type Event struct {
	At     time.Time
	Kind   string // "runner" or "job"
	Runner string
	Pool   string
	Node   string
	VMID   int
	State  runner.State
	Job    int64
	Reason string
}

// Status tells how the fleet was at the end of the last pass. It may be called from anywhere.
func (c *Controller) Status() Status { return *c.status.Load() }

// notice notes every runner's state as of now.
func (c *Controller) notice(now time.Time) { c.noticeAt(now) }

// noticeAt notes every runner's state; at is when it was observed.
func (c *Controller) noticeAt(at time.Time) {
	for _, id := range sortedKeys(c.ledger.runners) {
		c.note(c.ledger.runners[id], at)
		c.progress.runner(c.ledger.runners[id], at)
	}
}

// note tells of a runner's state when it has changed, and keeps when a pool last lost one that could take a job.
func (c *Controller) note(e *entry, at time.Time) {
	state := e.state()
	last, known := c.states[e.vmid]
	if known && last.Runner == e.name && last.State == state {
		return
	}
	if known && last.Runner == e.name && last.State.CanTakeJob() && !state.CanTakeJob() {
		c.lost(e.pool, at)
	}
	ev := Event{
		At: at, Kind: "runner", Runner: e.name, Pool: e.pool, Node: e.node, VMID: e.vmid, State: state, Job: e.job,
		Reason: e.failed,
	}
	c.states[e.vmid] = ev
	if state == runner.Busy {
		c.proved(e)
	}
	c.log.Info("runner", "runner", e.name, "vmid", e.vmid, "node", e.node, "pool", e.pool, "state", state)
	c.events(ev)
}

// noteGone tells of a runner's end.
func (c *Controller) noteGone(e *entry, at time.Time) {
	c.progress.gone(e, at)
	if last, known := c.states[e.vmid]; known && last.State.CanTakeJob() {
		c.lost(e.pool, at)
	}
	delete(c.states, e.vmid)
	c.log.Info("runner", "runner", e.name, "vmid", e.vmid, "node", e.node, "pool", e.pool, "state", runner.Gone)
	c.events(Event{
		At: at, Kind: "runner", Runner: e.name, Pool: e.pool, Node: e.node, VMID: e.vmid, State: runner.Gone, Job: e.job,
		Reason: e.failed,
	})
}

func (c *Controller) lost(pool string, at time.Time) {
	if at.After(c.ledger.turn[pool]) {
		c.ledger.turn[pool] = at
	}
}

// publish makes the status of this pass, and says in the log why each job waits, once for each reason.
func (c *Controller) publish(d decision, now time.Time) {
	s := &Status{
		At: now, Proxmox: c.proxmox.status(), GitHub: c.github.status(), Runners: []RunnerStatus{},
		Handoffs: []HandoffStatus{}, Waiting: []WaitingStatus{}, Unclaimed: []UnclaimedStatus{}, Quarantine: []Quarantine{}, Reasons: []string{},
	}
	for _, id := range sortedKeys(c.ledger.runners) {
		e := c.ledger.runners[id]
		s.Runners = append(s.Runners, RunnerStatus{
			Name: e.name, VMID: e.vmid, Node: e.node, Pool: e.pool, State: e.state(), Created: e.created, Job: e.job,
			Spare: e.isSpare(), Template: e.template, Reason: e.lastWord,
		})
	}
	for _, id := range sortedKeys(c.seen.vms) {
		if v := c.seen.vms[id]; v.unclaimed != "" && c.ledger.runners[id] == nil {
			s.Unclaimed = append(s.Unclaimed, UnclaimedStatus{VMID: id, Node: v.node, Name: v.name, Why: v.unclaimed})
		}
	}
	for _, name := range sortedKeys(c.seen.templates) {
		if t := c.seen.templates[name]; t.way != "" || t.problem != "" {
			s.Handoffs = append(s.Handoffs, HandoffStatus{Template: name, Handoff: t.way, Reason: cmp.Or(t.problem, t.why)})
		}
	}
	for _, id := range sortedKeys(c.ledger.quarantined) {
		s.Quarantine = append(s.Quarantine, c.ledger.quarantined[id])
	}
	s.Cordons, s.Nodes = c.cordonStatus(), append([]NodeStatus{}, d.nodes...)
	s.Warm = c.warmStatus(now)
	s.Waiting = c.explain(d.waiting, now)
	c.progress.waiting(d.waiting, c.queue.at)
	c.survey(s, now)
	s.LeftDisks = append([]LeftDisk{}, c.leftDisks...)
	s.Warnings, s.Rogues = append(c.releases(now), c.diskWarnings(s)...), c.rogues(now)
	if words := unsweptWords(d); words != "" {
		s.Warnings = append(s.Warnings, words)
	}
	if s.GitHub.OK && s.GitHub.Error != "" {
		s.Warnings = append(s.Warnings, "github: "+s.GitHub.Error)
	}
	s.Warnings = append(s.Warnings, c.refusalWords()...)
	c.publishRivals(s)
	s.Reasons = c.unready(s)
	s.Ready = len(s.Reasons) == 0
	c.status.Store(s)
}

// explain logs every new reason and returns all for the status.
func (c *Controller) explain(waiting []WaitingJob, now time.Time) []WaitingStatus {
	list := make([]WaitingStatus, 0, len(waiting))
	names := map[runner.Target]string{}
	for _, w := range waiting {
		if last, known := c.ledger.waiting[w.Job.ID]; !known || last != w.Reason.Code {
			c.ledger.waiting[w.Job.ID] = w.Reason.Code
			c.log.Info("job waits", "job", w.Job.ID, "pool", w.Pool, "code", w.Reason.Code, "reason", w.Reason.Text)
			c.events(Event{At: now, Kind: "job", Job: w.Job.ID, Pool: w.Pool, Reason: w.Reason.Text})
		}
		if names[w.Job.Target] == "" {
			names[w.Job.Target] = w.Job.Target.String()
		}
		list = append(list, WaitingStatus{
			Job: w.Job.ID, Run: w.Job.RunID, Name: w.Job.Name, Target: names[w.Job.Target], Labels: w.Job.Labels, Pool: w.Pool,
			Since: w.Job.CreatedAt, Reason: w.Reason,
		})
	}
	if len(c.ledger.waiting) == len(list) {
		return list // a job waits once, so none of them has gone
	}
	still := map[int64]bool{}
	for _, w := range list {
		still[w.Job] = true
	}
	for id := range c.ledger.waiting {
		if !still[id] {
			delete(c.ledger.waiting, id)
			delete(c.ledger.attempts, id)
		}
	}
	return list
}

// unready lists why new jobs can't be served.
func (c *Controller) unready(s *Status) []string {
	reasons := []string{}
	if !s.Proxmox.OK {
		reasons = append(reasons, "proxmox: "+s.Proxmox.Error)
	}
	if !s.GitHub.OK {
		reasons = append(reasons, "github: "+s.GitHub.Error)
	}
	if s.Standby != "" {
		reasons = append(reasons, s.Standby)
	}
	for _, name := range sortedKeys(c.seen.templates) {
		if t := c.seen.templates[name]; t.problem != "" {
			reasons = append(reasons, t.problem)
		}
	}
	for _, pool := range c.spec.Pools {
		t, _ := choose(pool, &c.seen, c.ledger, s.At)
		if r, barred := c.ledger.circuits[t.id].bars(t); barred {
			reasons = append(reasons, r.Text)
		}
		if b := c.ledger.backoff[pool.Name]; b.failures > 0 && b.until.After(s.At) {
			reasons = append(reasons, fmt.Sprintf("pool %s: %s", pool.Name, b.why))
		}
	}
	said := map[string]string{} // of each pool; a long queue says the same of all its jobs
	for _, w := range s.Waiting {
		if w.Reason.Code == WaitCordoned && said[w.Pool] != w.Reason.Text {
			said[w.Pool] = w.Reason.Text
			reasons = append(reasons, "pool "+w.Pool+": "+w.Reason.Text)
		}
	}
	slices.Sort(reasons)
	for i, r := range reasons {
		reasons[i] = strings.Join(strings.Fields(r), " ")
	}
	return slices.Compact(reasons)
}
