package fleet

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// Step is one idempotent piece of work on a runner.
type Step string

// The steps.
const (
	StepClone     Step = "clone"
	StepFollow    Step = "follow_task" // a clone or destroy that was asked for before a restart
	StepConfigure Step = "configure"
	StepSeed      Step = "seed" // an identity into user-data, before the start
	StepStart     Step = "start"
	StepProbe     Step = "probe"
	StepRegister  Step = "register"
	StepAsk       Step = "ask"
	StepEject     Step = "eject" // the user-data that its guest has read
	StepInspect   Step = "inspect"
	StepDestroy   Step = "destroy"
	StepRemove    Step = "remove_registration"
	StepForget    Step = "forget" // the VM is gone, so the ledger drops it
)

// action is what the plan wants done.
type action struct {
	step   Step
	vmid   int
	name   string
	pool   *runner.Pool // nil for a registration alone
	node   string
	inPool string
	why    string
	// force destroys even when GitHub says that the runner is busy: its VM is dead or over its limit.
	force bool
	// stopped says that the last look saw the VM powered off, so that it need not be stopped.
	stopped  bool
	template *template
	full     bool // a full clone
	task     ownTask
	target   runner.Target
	// registration is GitHub's id; 0 when there is none to remove, or none is known: then it is looked for by name
	// in the targets of lookIn.
	registration int64
	lookIn       []runner.Target
	// works is the job that GitHub's list of jobs has on the runner while its registration isn't known; 0 for none.
	works int64
	// unsure says that its guest runs and nobody knows whether it has got an identity.
	unsure bool
	// seeded says that an identity waits in the VM's user-data, put there by way; medium that it may be on one that lasts.
	seeded bool
	way    Way
	medium bool
	// agentOff says that the guest can't be asked: the template's guest agent is off.
	agentOff bool
	// contract is the version of the run-once contract that its guest speaks; 0 while it hasn't said.
	contract int
	// job is the one that waits for the runner to be cloned; 0 for none.
	job int64
	// about asks the guest, too, what it was made of.
	about bool
	// sweeps says that its end counts against minSweep.
	sweeps bool
	// unfit says that the runner goes for what its pool is now, which is no failure of its own.
	unfit bool
	// shape is the key of the VM that is to be made.
	shape string
	// theirs says that another process looks after the runner.
	theirs bool
	// noTags and noMAC leave those alone: the token may not set them, as an earlier refusal told.
	noTags, noMAC bool
}

// decision is what a plan comes to.
type decision struct {
	actions []action
	waiting []WaitingJob
	// again is when the plan wants to be made anew at the latest (zero: at the next observation).
	again time.Time
	// unswept is how many runners wait for their end because too many others have gone lately.
	unswept int
	// github asks for a reading of GitHub before its time.
	github bool
	// kept are the runners, by VMID, that their pools want to have without a job.
	kept []int
	// nodes are those that runners may live on, with what is planned.
	nodes []NodeStatus
}

// maxStorageTasks is how many clones and destroys run at once: a storage's lock is held while disks are allocated and
// freed, and others give up on it after 10 s (facts: B4).
const maxStorageTasks = 4

// plan decides what to do. It is a pure function: no I/O, no clock, nothing kept.
func plan(s Spec, o observed, now time.Time) decision {
	p := planner{s: s, o: o, now: now}
	p.count()
	p.measure()
	p.cordonOff()
	p.serveJobs()
	p.d.nodes = p.nodeStatus()
	if o.ending == stopping {
		return p.d
	}
	p.keepWarm()
	for _, e := range p.runners {
		p.nextStep(e)
	}
	p.probeDue()
	p.cleanRegistrations()
	return p.d
}

// planner is the working memory of one plan.
type planner struct {
	s   Spec
	o   observed
	now time.Time
	d   decision

	runners []*entry // all of them, in the order in which they were made
	byPool  map[string][]*entry
	swept   int                 // ends planned that count against minSweep
	tasks   int                 // clones and destroys in flight or planned
	probes  map[string]int      // guests of each node that may not answer, being asked or to be asked
	due     map[string][]*entry // guests of each node to be asked whether they are ready
	total   int
	alive   map[string]int
	taken   map[int]bool
	wanted  map[string]int       // waiting jobs of each pool
	open    map[string]int       // those of them that no runner answers for, nor one that is planned
	waits   map[string]time.Time // since when the oldest of them waits
	cannot  map[string]bool      // what unable has found
	tried   map[int]bool         // templates that a clone is planned of
	cloned  map[string]bool      // pools that a clone is planned for
	room    room
	vmids   *vmids           // that the next clones get
	fitting map[string][]int // what poolsFor has found, by a job's target and labels
	key     []byte           // its working memory
	shunned map[thing]string // what nothing may go to, and why

	answers  map[int]bool      // runners that answer for a waiting job each
	cramped  int               // jobs that wait for nothing but room
	squeezed map[string]int    // jobs of each pool that wait for nothing but room in it or in the fleet
	needs    map[where]need    // waiting jobs of pools that serve several repositories
	levels   map[string]level  // what holds for a pool now
	keeps    map[int]bool      // warm runners that are wanted
	retire   map[int]string    // warm runners that shall go, and why
	shapes   map[handed]string // what shapeOf has found

	registered map[string]map[runner.Target]int // what identities has counted
}

// sorted lists the runners in the order in which they were made.
func (l *ledger) sorted() []*entry {
	list := slices.Collect(maps.Values(l.runners))
	slices.SortFunc(list, func(a, b *entry) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.vmid, b.vmid))
	})
	return list
}

// countUnread counts VMs that may be ours but that a process which has just started can't tell yet, because its node is down or the
// read of its config failed: of the pools, by their names.
func (p *planner) countUnread() {
	for id, v := range p.o.supply.vms {
		if !v.unread || v.inPool != p.s.ResourcePool || p.o.ledger.runners[id] != nil {
			continue
		}
		p.total++
		for i := range p.s.Pools {
			if pool := &p.s.Pools[i]; strings.HasPrefix(v.name, pool.NamePrefix+"-") {
				p.alive[pool.Name]++
			}
		}
	}
}

func (p *planner) count() {
	p.byPool, p.alive, p.wanted = map[string][]*entry{}, map[string]int{}, map[string]int{}
	p.waits = map[string]time.Time{}
	p.probes, p.due = map[string]int{}, map[string][]*entry{}
	p.taken, p.tried, p.cloned = map[int]bool{}, map[int]bool{}, map[string]bool{}
	p.fitting = map[string][]int{}
	p.open, p.cannot = map[string]int{}, map[string]bool{}
	p.answers, p.squeezed, p.needs = map[int]bool{}, map[string]int{}, map[where]need{}
	p.levels, p.keeps, p.retire, p.shapes = map[string]level{}, map[int]bool{}, map[int]string{}, map[handed]string{}
	p.registered = map[string]map[runner.Target]int{}
	for id := range p.o.supply.taken {
		p.taken[id] = true
	}
	for id, until := range p.o.ledger.heldBack {
		if p.now.Before(until) {
			p.taken[id] = true
		}
	}
	for id := range p.o.ledger.quarantined {
		p.taken[id] = true
	}
	p.countUnread()
	p.runners = p.o.ledger.sorted()
	p.vmids = newVMIDs(p.s, p.taken, p.o.ledger.lastUsed, p.now)
	for _, e := range p.runners {
		p.taken[e.vmid] = true
		p.total++
		p.alive[e.pool]++
		p.byPool[e.pool] = append(p.byPool[e.pool], e)
		if e.op != nil {
			switch e.op.step {
			case StepClone, StepFollow, StepDestroy:
				p.tasks++
			case StepProbe, StepAsk:
				p.probes[e.node]++
			}
		}
	}
}

// wakeAt makes sure that the plan is made again at t.
func (p *planner) wakeAt(t time.Time) {
	if p.d.again.IsZero() || t.Before(p.d.again) {
		p.d.again = t
	}
}

// cleanRegistrations removes registrations that have no VM: those that outlived a crash, and those that GitHub held
// busy when their VM died.
func (p *planner) cleanRegistrations() {
	_, standby := p.standsBy()
	for _, id := range sortedKeys(p.o.ledger.orphans) {
		o := p.o.ledger.orphans[id]
		if standby {
			break
		}
		if due := o.since.Add(p.s.Timing.OrphanGrace); p.now.Before(due) {
			p.wakeAt(due)
			continue
		}
		if _, pending := p.o.ledger.removals[id]; !pending {
			p.d.actions = append(p.d.actions, action{
				step: StepRemove, registration: id, name: o.name, target: o.target, why: "its VM is gone",
			})
		}
	}
	for _, id := range sortedKeys(p.o.ledger.removals) {
		r := p.o.ledger.removals[id]
		if p.now.Before(r.next) {
			p.wakeAt(r.next)
			continue
		}
		p.d.actions = append(p.d.actions, action{
			step: StepRemove, registration: id, name: r.name, target: r.target, why: r.why(),
		})
	}
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
