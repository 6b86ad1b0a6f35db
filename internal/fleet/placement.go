package fleet

import (
	"cmp"
	"slices"
	"strings"

	"mayfly/internal/runner"
)

// Strategy is which of the nodes that fit is taken.
type Strategy string

// The strategies.
const (
	// Spread takes the node with the least load.
	Spread Strategy = "spread"
	// Pack takes the node with the most load that still fits, so that others stay empty.
	Pack Strategy = "pack"
)

// Placement says how a node is chosen. A zero limit isn't held.
type Placement struct {
	// Strategy is Spread where it is empty.
	Strategy Strategy
	// MemoryReserve is memory of each node that runners leave alone.
	MemoryReserve runner.Bytes
	// MemoryOvercommit is how much memory runners may be promised, as a share of a node's: 1 is all of it, 0 doesn't count
	// memory. What isn't ours counts with what it uses, runners with all of theirs.
	MemoryOvercommit float64
	// CPUOvercommit is how many cores of runners a node bears for each of its own; 0 doesn't count cores.
	CPUOvercommit float64
	// LinkedGrowth is how much a linked clone may grow: it is kept free on its storage for each runner.
	LinkedGrowth runner.Bytes
	// StorageReserve is room of each storage that runners leave alone.
	StorageReserve runner.Bytes
	// NodeTasks and StorageTasks are how many clones and destroys run at once on a node and on a storage; 0 is
	// maxNodeTasks and maxStorageTasks.
	NodeTasks, StorageTasks int
	// AntiAffinity keeps runners of one pool apart as long as there are nodes without one.
	AntiAffinity bool
	// Weights are what a node counts for beside others with 1: a node of weight 2 gets twice the runners. More than 0.
	Weights map[string]float64
}

// maxNodeTasks is how many clones and destroys run at once on a node.
const maxNodeTasks = 4

func (pl Placement) nodeTasks() int    { return cmp.Or(pl.NodeTasks, maxNodeTasks) }
func (pl Placement) storageTasks() int { return cmp.Or(pl.StorageTasks, maxStorageTasks) }

func (pl Placement) weight(node string) float64 {
	if w := pl.Weights[node]; w > 0 {
		return w
	}
	return 1
}

// size is what a VM takes.
type size struct {
	memory runner.Bytes
	cores  int
	// storages are those that its disks are on, in their order; disk is the size of all of them.
	storages []string
	disk     runner.Bytes
	root     runner.Bytes // of disk, the one that it boots from; 0 where that isn't known
}

// nodeLoad is a node as placement sees it.
type nodeLoad struct {
	node
	// promised is what our runners on it have not taken yet of the memory that is theirs, in the figures or in flight.
	promised runner.Bytes
	cores    int            // of our runners
	runners  int            // of ours
	ofPool   map[string]int // of ours, by pool
	tasks    int            // clones and destroys in flight or planned
}

// spaceLoad is a storage as placement sees it.
type spaceLoad struct {
	space
	known    bool         // the token sees it
	promised runner.Bytes // what our runners on it may still take
	tasks    int
}

// candidate is a node and what a runner would be cloned from there.
type candidate struct {
	load *nodeLoad
	from *template
	want size // what a runner cloned from it takes
	// spaces are the storages that its disks go to.
	spaces []*spaceLoad
	full   bool         // a full clone
	needs  runner.Bytes // room on each of spaces
	// things are what may be cordoned of it, where anything is.
	things []thing
	// barred says why it may not be taken, whatever its room; "" when it may.
	barred string
	code   Code // of that, where the template is at fault
	judged judged
}

// judged is what place found of a candidate. It is so until something more is planned on its node or storages, which is a task
// more: a plan asks for hundreds of places, and each changes one node.
type judged struct {
	tasks    int // of node and storages then, and one; 0 is never
	fits     bool
	standing standing
}

// standing is by what candidates that fit are told apart, beside template and name.
type standing struct {
	ofPool      int
	load, count float64
}

// refusal is why a node doesn't take a runner.
type refusal struct {
	node string
	why  string
	// tasks says that it is only for the clones and destroys that run, which end soon.
	tasks bool
	code  Code // where that isn't WaitNode
}

// place chooses the node for a VM of that size and pool: of the candidates that fit, those with the newest template, then
// as the strategy says; ties go by name. shut says why nothing may go to what a candidate needs, "" when it may. place is
// pure: the same in any order of the candidates. It gives -1 when none fits; refused tells why.
func (pl Placement) place(list []candidate, pool string, shut func([]thing) string) int {
	chosen := -1
	for i := range list {
		c := &list[i]
		pl.judge(c, pool)
		if c.judged.fits && shut(c.things) == "" && (chosen < 0 || pl.better(c, &list[chosen])) {
			chosen = i
		}
	}
	return chosen
}

// judge finds out whether a candidate fits and how it stands, unless that is known.
func (pl Placement) judge(c *candidate, pool string) {
	tasks := 1 + c.load.tasks
	for _, s := range c.spaces {
		tasks += s.tasks // they only grow, so that the sum is the same only if all are
	}
	if c.judged.tasks == tasks {
		return
	}
	c.judged = judged{tasks: tasks, fits: pl.fits(c).lack == noLack}
	if !c.judged.fits {
		return
	}
	c.judged.standing = standing{
		ofPool: c.load.ofPool[pool], load: pl.load(c.load, &c.want),
		count: float64(c.load.runners+1) / pl.weight(c.load.name),
	}
}

// refused has the reason of each candidate that doesn't fit, by node.
func (pl Placement) refused(list []candidate, shut func([]thing) string) []refusal {
	var out []refusal
	for i := range list {
		c := &list[i]
		v := pl.fits(c)
		r := refusal{node: c.load.name, why: pl.why(c, v), tasks: v.lack.passes(), code: c.code}
		if cordoned := shut(c.things); cordoned != "" && (v.lack == noLack || r.tasks) {
			r.why, r.tasks, r.code = cordoned, false, WaitCordoned
		}
		if r.why != "" {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b refusal) int { return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.why, b.why)) })
	return out
}

// better reports whether a is to be taken before b; both fit.
func (pl Placement) better(a, b *candidate) bool {
	if x, y := a.from.image.Version, b.from.image.Version; x != y { // most often all are the same
		if v := runner.CompareVersions(y, x); v != 0 {
			return v < 0
		}
	}
	x, y := a.judged.standing, b.judged.standing
	if pl.AntiAffinity && x.ofPool != y.ofPool {
		return x.ofPool < y.ofPool
	}
	load, count := cmp.Compare(x.load, y.load), cmp.Compare(x.count, y.count)
	if pl.Strategy == Pack {
		load, count = -load, -count
	}
	return cmp.Or(load, count, cmp.Compare(a.load.name, b.load.name)) < 0
}

// load is how full the node would be with the VM: of memory and cores the scarcer one, over the node's weight. 0 where
// neither is known.
func (pl Placement) load(n *nodeLoad, want *size) float64 {
	share := 0.0
	if pl.countsMemory(n) {
		share = float64(n.used+n.promised+want.memory) / (float64(n.memory) * pl.MemoryOvercommit)
	}
	if pl.countsCores(n) {
		share = max(share, float64(n.cores+want.cores)/(n.cpus*pl.CPUOvercommit))
	}
	return share / pl.weight(n.name)
}

// take notes that the VM is going to be there.
func (c *candidate) take(pool string) {
	n := c.load
	n.promised += c.want.memory
	n.cores += c.want.cores
	n.runners++
	n.ofPool[pool]++
	n.tasks++
	for _, s := range c.spaces {
		s.promised += c.needs
		s.tasks++
	}
}

// words tell why no node fits, node by node.
func words(refused []refusal) string {
	parts := make([]string, 0, len(refused))
	for _, r := range refused {
		parts = append(parts, r.node+": "+r.why)
	}
	return strings.Join(parts, "; ")
}

// linkedKinds are the plugins whose volumes can be linked to; LVM on thick volumes and iSCSI can't (pve-storage: the
// feature "clone" of a base volume, Plugin.pm, LVMPlugin.pm).
var linkedKinds = []string{"btrfs", "cephfs", "cifs", "dir", "glusterfs", "lvmthin", "nfs", "rbd", "zfs", "zfspool"}

// links reports whether clones on the storage can be linked. One that the token doesn't see is taken to.
func (s *spaceLoad) links() bool {
	return !s.known || s.kind == "" || slices.Contains(linkedKinds, s.kind)
}
