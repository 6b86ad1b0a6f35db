package fleet

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"mayfly/internal/runner"
)

// Range is the VMIDs that belong to an installation, both ends included.
type Range struct{ Start, End int }

// Contains reports whether the VMID lies in the range.
func (r Range) Contains(vmid int) bool { return vmid >= r.Start && vmid <= r.End }

// Size is how many VMIDs the range has.
func (r Range) Size() int { return r.End - r.Start + 1 }

// Spec is what a fleet shall be: the part of the configuration that the plan follows.
type Spec struct {
	// Installation is in every marker; see runner.CheckInstallation.
	Installation string
	// Node is the home node: runners live on it alone where Nodes is empty.
	Node string
	// Nodes are the nodes that runners may live on, each with a copy of the template or a shared one; AllNodes is all.
	Nodes []string
	// Placement says how a node is chosen; the zero value counts tasks only.
	Placement Placement
	// Token is the id of our API token ("user@realm!name"), which our tasks bear; "" takes anybody's for ours.
	Token string
	// ResourcePool is Proxmox's resource pool that clones are put into; "" for none.
	ResourcePool string
	VMIDs        Range
	// MaxRunners caps the VMs of all pools together, whatever their state.
	MaxRunners   int
	Pools        []runner.Pool
	PollInterval time.Duration // how often GitHub is read
	// Way is how identities get into guests; "" is WayAgent.
	Way Way
	// Storage is where WayISO uploads to.
	Storage string
	// UserData is what the user-data of guests is made from, where their way has any.
	UserData string
	// WebURL is where GitHub's repositories are for people, "https://github.com"; config.sh registers there.
	WebURL string
	// Hosted says that GitHub has runners of its own there: a job that names only their labels is left to them.
	Hosted bool
	Timing Timing

	// leaving are targets that pools have left by a reload, and that something of ours may still be registered at: each as
	// a pool that has nothing but the target and the prefix of the names that are ours there.
	leaving   []runner.Pool
	lasting   bool                 // there is a seeder whose user-data lasts
	schedules map[string]schedules // of the pools, by name
	alone     bool                 // no other process can be at work: Options.Alone
}

// Pool returns the pool of that name.
func (s Spec) Pool(name string) (runner.Pool, bool) {
	for i := range s.Pools { // a pool is large, and a plan asks for each runner's
		if s.Pools[i].Name == name {
			return s.Pools[i], true
		}
	}
	return runner.Pool{}, false
}

// Targets returns the distinct targets of all pools, in their order, and those that pools have left and that something of
// ours is still registered at.
func (s Spec) Targets() []runner.Target {
	var targets []runner.Target
	seen := map[runner.Target]bool{}
	for _, p := range slices.Concat(s.Pools, s.leaving) {
		for _, t := range p.Targets() {
			if !seen[t] {
				seen[t] = true
				targets = append(targets, t)
			}
		}
	}
	return targets
}

func (s Spec) check() error {
	switch {
	case runner.CheckInstallation(s.Installation) != nil:
		return runner.CheckInstallation(s.Installation)
	case s.Node == "":
		return errors.New("fleet: no node")
	case s.VMIDs.Start < 100 || s.VMIDs.Size() < 1:
		return fmt.Errorf("fleet: VMID range %d to %d: want 100 or more, start before end", s.VMIDs.Start, s.VMIDs.End)
	case s.MaxRunners < 1:
		return fmt.Errorf("fleet: at most %d runners: want 1 or more", s.MaxRunners)
	case len(s.Pools) == 0:
		return errors.New("fleet: no pool")
	}
	return nil
}

// Timing holds every wait of the controller. A zero field takes its default.
type Timing struct {
	// Supply is how often Proxmox is looked at while a runner is alive, SupplyIdle while none is.
	Supply     time.Duration
	SupplyIdle time.Duration
	// Urgent is the least distance of two readings of GitHub when one is wanted before PollInterval is over.
	Urgent time.Duration
	// TaskPoll is how often a node's task list is read while tasks of ours run.
	TaskPoll time.Duration
	// FirstProbe is when a booting guest is first asked, until the template's usual time is learnt; a failed
	// probe holds one of the node's three daemon workers for 3 s (facts: agent/ping). ProbeRetry follows a failed one.
	FirstProbe time.Duration
	ProbeRetry time.Duration
	// The deadlines of the steps.
	Clone, Configure, Start, Deliver, Stop, Destroy time.Duration
	// Register is how long a runner may take from identity to online.
	Register time.Duration
	// GoneConfirm is how long a registration must be missing before its VM is destroyed for it.
	GoneConfirm time.Duration
	// HangGrace is how long a guest may go on after GitHub has both ended its job and dropped its registration: a
	// listener may hang then (actions/actions-runner-controller#4603).
	HangGrace time.Duration
	// Linger is how long a VM may stay up after its listener ended: 20 s by contract, and time to shut down.
	Linger time.Duration
	// Halted is how long a VM's processors may stand still (a full storage, a pause) before it is given up.
	Halted time.Duration
	// OrphanGrace is how long a registration of ours without a VM must be offline before it is removed.
	OrphanGrace time.Duration
	// Cooldown is how long a VMID rests: Proxmox shows a predecessor's status under a VMID for up to 10 s, and its
	// statistics for 5 minutes (facts: rrd entries expire after 300 s).
	Cooldown time.Duration
	// BackoffMin and BackoffMax bound the wait after a failure, doubled each time.
	BackoffMin, BackoffMax time.Duration
	// RivalGone is how long another process that works on our installation must have made no new runner before it
	// counts as gone: longer than a clone takes, so that one that serves a waiting job isn't missed.
	RivalGone time.Duration
	// Reread is how old the cached config of a template, or of a VM that is somebody's, may get before it is read again;
	// RereadOwn is that of a runner's VM, whose name, tags, lock and resource pool each look shows anyhow.
	Reread, RereadOwn time.Duration
	// Stale is how old an observation of Proxmox may be and still be planned on.
	Stale time.Duration
}

// DefaultTiming is made for a real cluster.
func DefaultTiming() Timing {
	return Timing{
		Supply: 2 * time.Second, SupplyIdle: 10 * time.Second, Urgent: 2 * time.Second, TaskPoll: 500 * time.Millisecond,
		FirstProbe: 4 * time.Second, ProbeRetry: time.Second,
		Clone: 15 * time.Minute, Configure: time.Minute, Start: 5 * time.Minute, Deliver: time.Minute,
		Stop: 3 * time.Minute, Destroy: 10 * time.Minute,
		Register: 2 * time.Minute, Halted: 2 * time.Minute, GoneConfirm: 3 * time.Minute, HangGrace: 5 * time.Minute, Linger: 90 * time.Second, OrphanGrace: 10 * time.Minute,
		RivalGone: 10 * time.Minute, Cooldown: 5 * time.Minute, BackoffMin: 5 * time.Second, BackoffMax: 5 * time.Minute,
		Reread: 2 * time.Minute, RereadOwn: 30 * time.Minute, Stale: 30 * time.Second,
	}
}

// minCooldown holds even where the range is short: a reused VMID shows its predecessor's name and status for up to
// 10 s (pvestatd's period).
const minCooldown = 15 * time.Second

func (t Timing) withDefaults() Timing {
	d := DefaultTiming()
	for _, f := range []struct{ have, def *time.Duration }{
		{&t.Supply, &d.Supply},
		{&t.SupplyIdle, &d.SupplyIdle},
		{&t.Urgent, &d.Urgent},
		{&t.TaskPoll, &d.TaskPoll},
		{&t.FirstProbe, &d.FirstProbe},
		{&t.ProbeRetry, &d.ProbeRetry},
		{&t.Clone, &d.Clone},
		{&t.Configure, &d.Configure},
		{&t.Start, &d.Start},
		{&t.Deliver, &d.Deliver},
		{&t.Stop, &d.Stop},
		{&t.Destroy, &d.Destroy},
		{&t.Register, &d.Register},
		{&t.GoneConfirm, &d.GoneConfirm},
		{&t.HangGrace, &d.HangGrace},
		{&t.Linger, &d.Linger},
		{&t.Halted, &d.Halted},
		{&t.OrphanGrace, &d.OrphanGrace},
		{&t.RivalGone, &d.RivalGone},
		{&t.Cooldown, &d.Cooldown},
		{&t.BackoffMin, &d.BackoffMin},
		{&t.BackoffMax, &d.BackoffMax},
		{&t.Reread, &d.Reread},
		{&t.RereadOwn, &d.RereadOwn},
		{&t.Stale, &d.Stale},
	} {
		if *f.have <= 0 {
			*f.have = *f.def
		}
	}
	return t
}
