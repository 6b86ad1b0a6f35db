package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// figuresAge is how old a VM must be before its own figures count: the list shows those of pvestatd's last broadcast,
// and under a VMID that is used again its predecessor's.
const figuresAge = 30 * time.Second

// diskBuses are what the config options of disks begin with, before a number (qemu-server: PVE/QemuServer/Drive.pm).
var diskBuses = []string{"efidisk", "ide", "sata", "scsi", "tpmstate", "virtio"}

// isDisk reports whether a config option is a disk. Every pass asks it of every VM's.
func isDisk(option string) bool {
	bus := strings.TrimRight(option, "0123456789")
	return bus != option && slices.Contains(diskBuses, bus)
}

// sizeOf reads out of a config what its VM takes.
func sizeOf(cfg proxmox.VMConfig) size {
	v := cfg.Values
	memory := number(strings.TrimPrefix(v["memory"], "current="), 512) // MiB; Proxmox's own default
	s := size{memory: runner.Bytes(memory) * runner.MiB, cores: int(number(v["cores"], 1) * number(v["sockets"], 1))}
	_, s.root = RootDisk(cfg)
	for _, option := range sortedKeys(v) {
		storage, rest, isVolume := strings.Cut(v[option], ":")
		if !isDisk(option) || !isVolume || storage == "none" || storage == "cdrom" {
			continue
		}
		if !slices.Contains(s.storages, storage) {
			s.storages = append(s.storages, storage)
		}
		if !strings.Contains(rest, "media=cdrom") {
			s.disk += proxmox.DriveSize(rest)
		}
	}
	return s
}

func number(text string, otherwise int64) int64 {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// wants is what a runner of the pool takes when it is cloned from a template of that size.
func wants(pool runner.Pool, s size) size {
	if pool.Memory > 0 {
		s.memory = pool.Memory
	}
	if pool.Cores > 0 {
		s.cores = pool.Cores
	}
	if s.root > 0 {
		s.disk += max(0, pool.Disk-s.root)
	}
	return s
}

// wants is the same, given the template: a plan asks it of the same few again and again.
func (p *planner) wants(pool runner.Pool, t *template) size {
	s, known := p.room.sizes[t.id]
	if !known || t.id == 0 {
		s = sizeOf(t.cfg)
		p.room.sizes[t.id] = s
	}
	return wants(pool, s)
}

// room is what a plan knows of nodes and storages; a clone that is planned takes its part of it.
type room struct {
	nodes  map[string]*nodeLoad
	names  []string // of those that the cluster lists, in order
	spaces map[string]*spaceLoad
	seen   map[[2]string]*spaceLoad // the same by node and storage: what is shared is there once for each node
	// full are the pools for which no node fits: what is planned later only takes more.
	full map[string]Reason
	// lists are the candidates of each pool, next the best of them as long as nothing more was planned.
	lists map[string][]candidate
	next  map[string]*candidate
	sizes map[int]size // of templates
}

// measure counts what our runners take of each node and storage.
func (p *planner) measure() {
	p.room = room{
		nodes: map[string]*nodeLoad{}, spaces: map[string]*spaceLoad{}, seen: map[[2]string]*spaceLoad{}, full: map[string]Reason{},
		lists: map[string][]candidate{}, next: map[string]*candidate{}, sizes: map[int]size{},
	}
	p.room.names = sortedKeys(p.o.supply.nodes)
	for _, name := range p.room.names {
		p.room.nodes[name] = &nodeLoad{node: p.o.supply.nodes[name], ofPool: map[string]int{}}
	}
	for _, e := range p.runners {
		n := p.nodeLoad(e.node)
		pool, _ := p.s.poolOf(e)
		v, there := p.o.supply.vms[e.vmid]
		s := v.size
		if !there || s.memory == 0 {
			s = p.wants(pool, p.o.supply.baseOf(e, pool))
		}
		n.runners++
		n.ofPool[e.pool]++
		if e.stopped.IsZero() {
			n.cores += s.cores
			n.promised += p.promised(e, v, s)
		}
		tasks := 0
		if e.op != nil && (e.op.step == StepClone || e.op.step == StepFollow || e.op.step == StepDestroy) {
			tasks = 1
		}
		n.tasks += tasks
		for _, space := range p.spacesOf(e.node, s.storages) {
			space.tasks += tasks
			switch copied := tasks > 0 || p.now.Sub(e.created) < figuresAge; {
			case pool.FullClone && copied:
				space.promised += s.disk
			case !pool.FullClone:
				space.promised += p.s.Placement.LinkedGrowth
			}
		}
	}
}

// promised is how much of its memory a runner hasn't taken yet. Where its own figures aren't known yet it is all of it,
// and where they never are none: the node's figures hold what it uses.
func (p *planner) promised(e *entry, v vm, s size) runner.Bytes {
	settled := !e.started.IsZero() && p.now.Sub(e.started) > figuresAge
	switch {
	case !settled:
		return s.memory
	case v.used == 0:
		return 0
	}
	return max(s.memory-v.used, 0)
}

// nodeLoad is the node's; one that isn't in the list, as in a cluster that was never looked at, counts as online.
func (p *planner) nodeLoad(name string) *nodeLoad {
	if p.room.nodes[name] == nil {
		p.room.nodes[name] = &nodeLoad{node: node{name: name, online: true}, ofPool: map[string]int{}}
	}
	return p.room.nodes[name]
}

// spacesOf are the loads of the storages of a node. Disks whose storage nobody knows are on one of that node's own.
func (p *planner) spacesOf(node string, storages []string) []*spaceLoad {
	if len(storages) == 0 {
		storages = []string{""}
	}
	list := make([]*spaceLoad, 0, len(storages))
	for _, name := range storages {
		at := [2]string{node, name}
		load := p.room.seen[at]
		if load == nil {
			load = p.spaceLoad(node, name)
			p.room.seen[at] = load
		}
		list = append(list, load)
	}
	return list
}

// spaceLoad is the load of a storage of the node.
func (p *planner) spaceLoad(node, name string) *spaceLoad {
	seen, known := p.o.supply.spaces[spaceKey(node, name, false)]
	key := spaceKey(node, name, seen.shared)
	if p.room.spaces[key] == nil {
		seen.name = name
		p.room.spaces[key] = &spaceLoad{space: seen, known: known}
	}
	return p.room.spaces[key]
}

// tasksFull reports whether as many clones and destroys run on the runner's node or storages as they bear.
func (p *planner) tasksFull(e *entry) bool {
	pl := p.s.Placement
	if p.nodeLoad(e.node).tasks >= pl.nodeTasks() {
		return true
	}
	return slices.ContainsFunc(p.spacesOfEntry(e), func(s *spaceLoad) bool { return s.tasks >= pl.storageTasks() })
}

// addTask counts one more.
func (p *planner) addTask(e *entry) {
	p.tasks++
	clear(p.room.next)
	p.nodeLoad(e.node).tasks++
	for _, s := range p.spacesOfEntry(e) {
		s.tasks++
	}
}

func (p *planner) spacesOfEntry(e *entry) []*spaceLoad {
	storages := p.o.supply.vms[e.vmid].size.storages
	if len(storages) == 0 {
		pool, _ := p.s.poolOf(e)
		storages = p.wants(pool, p.o.supply.baseOf(e, pool)).storages
	}
	return p.spacesOf(e.node, storages)
}

// candidates are the nodes of the pool, each with what is cloned there: a copy of its own, or one that all nodes share.
func (p *planner) candidates(pool runner.Pool) []candidate {
	lead, _ := p.o.supply.base(pool)
	if len(p.o.supply.nodes) == 0 || p.s.lone() {
		return []candidate{p.candidate(pool, p.s.Node, p.newestUsable(lead))}
	}
	nothing := &template{}
	own, shared := make(map[string]*template, 1+len(lead.copies)), []*template{}
	for t := range lead.onNodes() {
		t = p.newestUsable(t)
		own[t.node] = t
		if t.problem == "" && t.id != 0 {
			shared = append(shared, t)
		}
	}
	list := make([]candidate, 0, len(p.room.names))
	for _, name := range p.room.names {
		if !pool.RunsOn(name) {
			continue
		}
		t := cmp.Or(own[name], nothing)
		if t.id == 0 || t.problem != "" {
			if at := slices.IndexFunc(shared, func(t *template) bool { return p.reaches(name, t) }); at >= 0 {
				t = shared[at]
			}
		}
		list = append(list, p.candidate(pool, name, t))
	}
	return list
}

// newestUsable is the newest version on the template's node that may be cloned.
func (p *planner) newestUsable(t *template) *template {
	return p.o.ledger.newest(t, p.now, func(v *template) bool {
		return len(p.shunned) == 0 || p.shunned[templateThing(cmp.Or(v.node, p.s.Node), v)] == ""
	})
}

// current reports whether the pool's next runner may come from that template: it is the newest usable one of some node, or
// would be if it weren't cordoned.
func (p *planner) current(pool runner.Pool, id int) bool {
	lead, _ := p.o.supply.base(pool)
	for t := range lead.onNodes() {
		if p.newestUsable(t).id == id || p.o.ledger.newest(t, p.now, func(*template) bool { return true }).id == id {
			return true
		}
	}
	return false
}

// reaches reports whether a template of another node can be cloned to this one: all that it has is on storages that
// both see (qemu-server API2/Qemu.pm, clone_vm: "can't clone VM to node").
func (p *planner) reaches(name string, t *template) bool {
	storages := sizeOf(t.cfg).storages
	for _, s := range storages {
		here, known := p.o.supply.spaces[spaceKey(name, s, false)]
		if !known || !here.shared {
			return false
		}
	}
	return len(storages) > 0
}

func (p *planner) candidate(pool runner.Pool, name string, t *template) candidate {
	c := candidate{load: p.nodeLoad(name), from: t, want: p.wants(pool, t), full: pool.FullClone}
	storages := c.want.storagesFor(pool)
	c.spaces = p.spacesOf(name, storages)
	if len(p.o.ledger.cordons) > 0 {
		c.things = p.o.supply.things(name, t, storages)
	}
	c.full = c.full || slices.ContainsFunc(c.spaces, func(s *spaceLoad) bool { return !s.links() })
	c.needs = p.s.Placement.LinkedGrowth
	if c.full {
		c.needs = c.want.disk
	}
	r, barred := p.barred(t)
	switch {
	case c.load.online && t.id == 0:
		c.barred = cmp.Or(t.problem, "it has no copy of the template, and none is on a storage that it shares")
	case c.load.online && t.problem != "":
		c.barred = t.problem
	case barred:
		c.barred, c.code = r.Text, r.Code
	}
	return c
}

// findPlace chooses where the pool's next runner goes; ok is false when nowhere, and r says why.
func (p *planner) findPlace(pool runner.Pool) (c *candidate, r Reason, ok bool) {
	if r, full := p.room.full[pool.Name]; full {
		return nil, r, false
	}
	if c, ok := p.room.next[pool.Name]; ok {
		return c, Reason{}, true
	}
	list, ok := p.room.lists[pool.Name]
	if !ok {
		list = p.candidates(pool)
		p.room.lists[pool.Name] = list
	}
	if chosen := p.s.Placement.place(list, pool.Name, p.shut); chosen >= 0 {
		p.room.next[pool.Name] = &list[chosen]
		return &list[chosen], Reason{}, true
	}
	refused := p.s.Placement.refused(list, p.shut)
	switch limited := slices.ContainsFunc(refused, func(r refusal) bool { return r.tasks }); {
	case limited:
		r = Reason{WaitCloneLimit, words(refused)}
	case len(refused) == 0:
		r = Reason{WaitNode, fmt.Sprintf("pool %s: none of its nodes (%s) is one that runners live on", pool.Name, strings.Join(pool.Nodes, ", "))}
	default:
		r = Reason{WaitNode, "no node fits: " + words(refused)}
		if code := refused[0].code; !slices.ContainsFunc(refused, func(r refusal) bool { return r.code != code }) {
			r.Code = cmp.Or(code, WaitNode)
		}
	}
	p.room.full[pool.Name] = r
	return nil, r, false
}

// take notes that the pool's next runner goes there, and that it tries a template at fault, or what is cordoned.
func (p *planner) take(pool runner.Pool, at *candidate) {
	at.take(pool.Name)
	clear(p.room.next)
	p.tried[at.from.id] = true
	if tries := p.tryAgain(at.things); tries || p.o.ledger.circuits[at.from.id].open() {
		clear(p.room.lists) // it is barred from now on
	}
}
