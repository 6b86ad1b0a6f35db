package sim

import (
	"slices"
	"time"
)

// nodeTroubles are those of single nodes, and of the cluster that they make together.
var nodeTroubles = []trouble{
	nodeDies, nodeRests, nodeCutOff, noQuorum, storageFills, templateMissing,
}

// someNode is one of the cluster's nodes.
func (w *world) someNode(object string) string { return pick(w.seed, "node "+object, w.nodes...) }

// spell is a trouble that begins and ends, whatever happens to the dispatcher meanwhile.
type spell struct {
	name       string
	begin, end func() error
	idle       func() bool // whether it may begin: it isn't there already
}

// cast has a spell begin and end.
func (w *world) cast(s spell, at time.Time, lasting time.Duration, object string) []event {
	on := false
	return []event{
		{at, s.name, func() {
			if s.idle != nil && !s.idle() || !w.plan.trouble(s.name, object) {
				return
			}
			on = true
			w.trace.add("%s", s.name)
			w.hinders(lasting)
			w.must(s.begin())
		}},
		{at.Add(lasting), "end of " + s.name, func() {
			if on {
				w.trace.add("end of %s", s.name)
				w.must(s.end())
			}
		}},
	}
}

// nodeDies takes every VM of a node with it; the node is back after some minutes.
func nodeDies(w *world, at time.Time, object string) []event {
	node := w.someNode(object)
	return w.cast(spell{
		"node death", func() error { w.losePower(node); return w.pve.KillNode(w.ctx, node) },
		func() error { delete(w.dead, node); return w.pve.ReviveNode(node) }, func() bool { return !w.dead[node] },
	}, at, w.seconds("dead", object, 120, 600), object)
}

// locate brings up to date where the fleet's VMs are: a clone of a shared template is made on the template's node, and moves when
// it is done.
func (w *world) locate() {
	all := w.pve.VMs()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range all {
		if v := w.model.vms[at.VMID]; v != nil && at.DestroyedAt == nil {
			v.node = at.Node
		}
	}
}

// losePower notes that a node dies.
func (w *world) losePower(node string) {
	w.locate()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead[node], w.model.died[node] = true, true
	for _, v := range w.model.vms {
		if v.node == node {
			w.model.badGuests[v.name] = true
		}
	}
}

// nodeRests puts a node into maintenance.
func nodeRests(w *world, at time.Time, object string) []event {
	set := func(on bool) func() error {
		return func() error { return w.pve.SetMaintenance(w.someNode(object), on) }
	}
	return w.cast(spell{"node in maintenance", set(true), set(false), nil}, at, w.seconds("rests", object, 60, 2400), object)
}

// nodeCutOff has a node lose the others: it can't write to /etc/pve.
func nodeCutOff(w *world, at time.Time, object string) []event {
	set := func(readOnly bool) func() error {
		return func() error { return w.pve.SetReadOnly(w.someNode(object), readOnly) }
	}
	return w.cast(spell{"node cut off", set(true), set(false), nil}, at, w.seconds("cut off", object, 20, 600), object)
}

// noQuorum lets everything be read on all nodes and nearly nothing be changed.
func noQuorum(w *world, at time.Time, object string) []event {
	set := func(quorate bool) func() error {
		return func() error { w.pve.SetQuorum(quorate); return nil }
	}
	return w.cast(spell{"no quorum", set(false), set(true), nil}, at, w.seconds("quorum", object, 20, 600), object)
}

// sharedStorage is the one that all nodes see, where there is one.
const sharedStorage = "ceph"

// disks is the storage of the runners' disks.
func (w *world) disks() string {
	if w.shared {
		return sharedStorage
	}
	return "local-lvm"
}

// storageFills leaves no room for clones on one node, or on all where they share the storage, for some minutes.
func storageFills(w *world, at time.Time, object string) []event {
	set := func(full bool) func() error {
		return func() error { return w.pve.FillStorage(w.someNode(object), w.disks(), full) }
	}
	return w.cast(spell{"storage is full", set(true), set(false), nil}, at, w.seconds("full", object, 60, 900), object)
}

// templateMissing gives the template of one node another name for some minutes, as somebody does who replaces it.
func templateMissing(w *world, at time.Time, object string) []event {
	id := w.someTemplate(object)
	name := func(name string) func() error { return func() error { return w.pve.Rename(id, name) } }
	return w.cast(spell{"template is missing on a node", name("ubuntu-2204-old"), name(w.spec.Pools[0].Template), nil},
		at, w.seconds("missing", object, 60, 900), object)
}

// someTemplate is the only template, or that of some node.
func (w *world) someTemplate(object string) int {
	if w.shared {
		return firstTemplate
	}
	return firstTemplate + slices.Index(w.nodes, w.someNode(object))
}

// firstTemplate is the VMID of the first node's template; where each has its own, the others' follow.
const firstTemplate = 9000
