package fleet

import (
	"iter"
	"time"

	"mayfly/internal/demand"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// supply is one look at Proxmox.
type supply struct {
	at  time.Time // when the look began; zero before the first
	err error     // why there is nothing newer
	// vms are the VMs of our range that the token sees, templates left out.
	vms map[int]vm
	// taken are all VMIDs of the range that something visible has.
	taken map[int]bool
	// free are those of the asked-for VMIDs that are free.
	free      map[int]bool
	templates map[string]*template
	// nodes are those that runners may live on, spaces the storages that the token sees (spaceKey).
	nodes  map[string]node
	spaces map[string]space
	means  means
	// tasks are clones and destroys that run, where they were looked for.
	tasks []ownTask
	// stops are those that stop a VM, likewise.
	stops []ownTask
	// unsure says that a clone runs of which it isn't known yet where to.
	unsure bool
}

// vm is one VM of our range.
type vm struct {
	id     int
	node   string
	name   string
	status string // from the node's own list, so that it is true now; "" when that list lacks it
	halted string // QEMU's word for why its processors stand still; "" while they run
	lock   string
	inPool string
	marker runner.Marker
	// unclaimed says why it isn't provably ours; "" when it is.
	unclaimed string
	// configured says that our configuration was made on it.
	configured bool
	readAt     time.Time // when its config was read
	size       size      // its memory, cores and disks, as its config says
	// used is the memory that it takes, as pvestatd last said; 0 where that isn't known.
	used runner.Bytes
	// unread says that its config could not be read: it is being made or destroyed right now, or the read failed.
	unread bool
}

// template is what a pool's template name stands for on a node.
type template struct {
	id      int
	node    string // "" is the home node
	cfg     proxmox.VMConfig
	problem string // why nothing can be cloned from it now
	way     Way    // how its runners get their identity; "" while none works
	why     string
	code    Code // of the problem; "" is WaitTemplate
	// image is what Mayfly built it from; zero for a template of somebody else's making.
	image runner.Image
	// older are the other promoted versions of the image that a pool follows, the newest first.
	older []template
	// copies are what the pool's name stands for on the other nodes.
	copies []template
}

// ofVersion returns the template that has the VMID, be it an older version or one of another node; ok is false when neither has.
func (t *template) ofVersion(id int) (found *template, ok bool) {
	if id != 0 && t != nil {
		found = t.find(id)
	}
	return found, found != nil
}

func (t *template) find(id int) *template {
	if t.id == id {
		return t
	}
	for _, list := range [][]template{t.older, t.copies} {
		for i := range list {
			if at := list[i].find(id); at != nil {
				return at
			}
		}
	}
	return nil
}

// versions are the template and the older ones on its node, the newest first.
func (t *template) versions() iter.Seq[*template] { return leading(t, t.older) }

// onNodes are the template and its copies on other nodes.
func (t *template) onNodes() iter.Seq[*template] { return leading(t, t.copies) }

// leading yields the template and those that follow it: none is copied, for a plan looks through them again and again.
func leading(t *template, rest []template) iter.Seq[*template] {
	return func(yield func(*template) bool) {
		more := yield(t)
		for i := 0; more && i < len(rest); i++ {
			more = yield(&rest[i])
		}
	}
}

// base is what the pool's next runner is cloned from; an empty one while nobody knows.
func (o *supply) base(pool runner.Pool) (*template, bool) {
	if t, ok := o.templates[pool.Base()]; ok {
		return t, true
	}
	return &template{}, false
}

// has reports whether runners of the pool may have been cloned from that template.
func (o *supply) has(pool runner.Pool, id int) bool {
	_, ok := o.templates[pool.Base()].ofVersion(id)
	return ok
}

// baseOf is the template that a runner came from, as far as it is still seen; else what its pool's next one is cloned
// from.
func (o *supply) baseOf(e *entry, pool runner.Pool) *template {
	t, _ := o.base(pool)
	if own, ok := t.ofVersion(e.template); ok {
		return own
	}
	return t
}

// queue is one look at GitHub: the registrations, then the jobs.
type queue struct {
	at            time.Time // when the look began: registrations are read first
	registrations map[runner.Target][]runner.Registration
	failed        map[runner.Target]error // targets whose registrations or jobs could not be read
	demand        demand.Reading
}

// observed is all that a plan follows from.
type observed struct {
	supply supply
	queue  queue
	ledger *ledger
	ending ending
}

// state tells where the runner is in its life.
func (e *entry) state() runner.State {
	if e.op != nil {
		switch e.op.step {
		case StepClone:
			return runner.Cloning
		case StepFollow:
			if e.ending {
				return runner.Destroying
			}
			return runner.Cloning
		case StepConfigure:
			return runner.Configuring
		case StepSeed, StepStart, StepProbe:
			return runner.Booting
		case StepRegister:
			return runner.Registering
		case StepDestroy:
			return runner.Destroying
		}
	}
	switch {
	case e.failed != "":
		return runner.Failed
	case !e.stopped.IsZero(), !e.finished.IsZero():
		return runner.Draining
	case e.guestBusy:
		return runner.Busy
	case e.dropped:
		return runner.Draining
	case !e.busy.IsZero():
		return runner.Busy
	case !e.online.IsZero():
		return runner.Idle
	case !e.delivered.IsZero():
		return runner.Registering
	case !e.started.IsZero(), !e.configured.IsZero():
		return runner.Booting
	case !e.cloned.IsZero():
		return runner.Configuring
	}
	return runner.Planned
}

// unexplainedWindow is how long a busy runner counts as the answer to some waiting job when GitHub's job list doesn't
// say yet which job it took: runners and jobs are read one after the other and GitHub's lists may lag.
const unexplainedWindow = time.Minute

// unexplained reports whether the runner is busy with a job that the queue doesn't show yet.
func (e *entry) unexplained(now time.Time) bool {
	return e.state() == runner.Busy && e.job == 0 && !e.busy.IsZero() && now.Sub(e.busy) < unexplainedWindow
}
