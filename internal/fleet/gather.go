package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"mayfly/internal/demand"
	"mayfly/internal/github"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Deadlines of one look. Proxmox's own proxy gives up after 30 s.
const (
	supplyTimeout = 45 * time.Second
	queueTimeout  = 2 * time.Minute
)

// restartWindow is how far back clone tasks are looked for after a start: a clone of a large disk may take that long.
const restartWindow = time.Hour

// gatherer looks at Proxmox and GitHub. It is used by one goroutine at a time and keeps only caches.
type gatherer struct {
	spec    Spec
	pve     Proxmox
	gh      GitHub
	source  demand.Source
	seeders map[Way]Seeder
	means   means
	configs map[int]cachedConfig
	silent  map[string]silence // nodes that didn't answer
}

type cachedConfig struct {
	cfg  proxmox.VMConfig
	read time.Time
	// foreign says that it proves nobody's VM ours, so that an edit may.
	foreign bool
	// judged is what the config says; nil until somebody asked.
	judged *judgement
}

// judgement is what a config says of its VM, given the resource pool that it is in.
type judgement struct {
	inPool     string
	size       size
	configured bool
	marker     runner.Marker
	unclaimed  error // nil where the VM is provably ours
}

// keep takes up configs that steps have read or written since the last look.
func (g *gatherer) keep(fresh map[int]cachedConfig) {
	for id, c := range fresh {
		if c.read.After(g.configs[id].read) {
			g.configs[id] = c
		}
	}
}

// supply looks at Proxmox: one list of everything, the nodes' own lists, the configs that aren't known yet, and, where
// since isn't zero, the clone tasks since then. hidden are VMIDs to ask for one by one.
func (g *gatherer) supply(ctx context.Context, since time.Time, hidden []int) supply {
	ctx, cancel := context.WithTimeout(ctx, supplyTimeout)
	defer cancel()
	o := supply{at: time.Now(), vms: map[int]vm{}, taken: map[int]bool{}, free: map[int]bool{}, templates: map[string]*template{}}
	noTasks := g.addTasks(ctx, &o, since)
	all, err := g.pve.Resources(ctx)
	if err != nil {
		return supply{at: o.at, err: err}
	}
	if err := cmp.Or(g.spec.checkNodes(all), noTasks); err != nil { // an unknown node has no tasks either
		return supply{at: o.at, err: err}
	}
	o.nodes, o.spaces = g.spec.nodesOf(all), spacesOf(all)
	status, err := g.listNodes(ctx, &o, all)
	if err != nil {
		return supply{at: o.at, err: err}
	}
	g.movedVMs(ctx, all, status)
	listed := map[int]bool{}
	for _, r := range all {
		listed[r.VMID] = true
		if (r.Type != "qemu" && r.Type != "lxc") || !g.spec.VMIDs.Contains(r.VMID) {
			continue
		}
		o.taken[r.VMID] = true
		if r.Type == "lxc" || r.Template || status[r.VMID].Template {
			continue
		}
		o.vms[r.VMID] = g.vm(ctx, r, status, &o)
	}
	maps.DeleteFunc(g.configs, func(id int, _ cachedConfig) bool { return !listed[id] })
	g.lookMeans(ctx, o.at)
	o.means = g.means
	for _, p := range g.spec.Pools {
		if _, done := o.templates[p.Base()]; done {
			continue
		}
		t := g.copies(ctx, p, all, &o)
		o.templates[p.Base()] = &t
	}
	for _, id := range hidden {
		free, err := g.pve.VMIDFree(ctx, id)
		o.free[id] = err == nil && free
	}
	// Once more: a clone may have begun since, and until it ends its VM need not be in the list. One that ended since was
	// found before.
	if err := g.addTasks(ctx, &o, since); err != nil {
		return supply{at: o.at, err: err}
	}
	return o
}

// movedTimeout bounds the question to a node that we don't depend on.
const movedTimeout = 5 * time.Second

// movedVMs adds the status of VMs of our range that live on other nodes: an administrator, or a node that was put into
// maintenance, has moved them. A node that doesn't answer leaves theirs unknown.
func (g *gatherer) movedVMs(ctx context.Context, all []proxmox.Resource, status map[int]proxmox.NodeVM) {
	ctx, cancel := context.WithTimeout(ctx, movedTimeout)
	defer cancel()
	online, asked := map[string]bool{}, map[string]bool{}
	for _, r := range all {
		online[r.Node] = online[r.Node] || r.Type == "node" && r.Status == "online"
	}
	for _, r := range all {
		ours := r.Type == "qemu" && g.spec.VMIDs.Contains(r.VMID) && r.Pool == g.spec.ResourcePool
		if !ours || g.spec.runsOn(r.Node) || asked[r.Node] || !online[r.Node] {
			continue
		}
		asked[r.Node] = true
		list, err := g.pve.NodeVMs(ctx, r.Node)
		if err != nil {
			continue
		}
		for _, v := range list {
			status[v.VMID] = v
		}
	}
}

// errNoNode says that the configured node isn't in the cluster.
var errNoNode = errors.New("node not found")

// vm says whose the VM is.
func (g *gatherer) vm(ctx context.Context, r proxmox.Resource, status map[int]proxmox.NodeVM, o *supply) vm {
	v := vm{id: r.VMID, node: r.Node, name: r.Name, lock: r.Lock, inPool: r.Pool, status: status[r.VMID].Status}
	v.halted = haltedAs(r, v.status)
	if r.Status == "running" {
		v.used = r.Mem
	}
	cfg, read, err := g.lastConfig(ctx, r, o)
	if err != nil {
		v.unread, v.unclaimed = true, "its config can't be read: "+err.Error()
		return v
	}
	v.name, v.readAt = cfg.Name, read
	j := g.judge(r.VMID, cfg, read, r.Pool)
	v.size, v.configured, v.marker = j.size, j.configured, j.marker
	if j.unclaimed != nil {
		v.unclaimed = j.unclaimed.Error()
		if r.Lock != "" {
			v.unclaimed += " (lock: " + r.Lock + ")" // a killed removal leaves nothing else
		}
	}
	return v
}

// judge reads what a config says. It does so once for each reading: a pass has a thousand of them that haven't changed.
func (g *gatherer) judge(vmid int, cfg proxmox.VMConfig, read time.Time, inPool string) *judgement {
	if j := g.configs[vmid].judged; j != nil && j.inPool == inPool {
		return j
	}
	j := &judgement{inPool: inPool, size: sizeOf(cfg)}
	j.configured = cfg.Values["reboot"] == "0" // no template says so: it is for VMs of one boot
	j.marker, j.unclaimed = Claim(g.spec, vmid, cfg, inPool)
	g.configs[vmid] = cachedConfig{cfg: cfg, read: read, foreign: j.unclaimed != nil, judged: j}
	return j
}

// lastConfig gives a VM's config, and of one on a node that can't be asked what was last read.
func (g *gatherer) lastConfig(ctx context.Context, r proxmox.Resource, o *supply) (proxmox.VMConfig, time.Time, error) {
	if o.reachable(r.Node) || g.spec.lone() {
		return g.config(ctx, r, o.at)
	}
	if cached, ok := g.configs[r.VMID]; ok {
		return cached.cfg, cached.read, nil
	}
	return proxmox.VMConfig{}, time.Time{}, fmt.Errorf("node %s: %s", r.Node, o.down(r.Node))
}

// config gives a VM's config, read again when it is old or when the lock or a template's tags, which the list shows live,
// say that it changed.
func (g *gatherer) config(ctx context.Context, r proxmox.Resource, at time.Time) (cfg proxmox.VMConfig, read time.Time, err error) {
	cached, ok := g.configs[r.VMID]
	fresh := g.spec.Timing.Reread
	switch {
	case inTheMaking(r.Lock):
		fresh = min(fresh, rereadMaking)
	case !r.Template && !cached.foreign:
		fresh = g.spec.Timing.RereadOwn
	}
	if ok && at.Sub(cached.read) <= fresh && cached.cfg.Lock == r.Lock && sameTags(cached.cfg.Tags, r.Tags) {
		return cached.cfg, cached.read, nil
	}
	read = time.Now()
	cfg, err = g.pve.VMConfig(ctx, r.Node, r.VMID)
	if err != nil {
		return proxmox.VMConfig{}, time.Time{}, err
	}
	g.configs[r.VMID] = cachedConfig{cfg: cfg, read: read}
	return cfg, read, nil
}

// rereadMaking is how old the config of a VM may get that is being made or destroyed.
const rereadMaking = 10 * time.Second

// inTheMaking reports whether a VM with that lock changes its config though its lock stays: a clone gets its description
// before it is unlocked (qemu-server: API2/Qemu.pm, clone_vm).
func inTheMaking(lock string) bool {
	return lock == "clone" || lock == "create" || lock == "destroyed"
}

// template finds the template of that name on a node, the newest (highest VMID) where there are several.
func (g *gatherer) template(ctx context.Context, node, name string, all []proxmox.Resource, at time.Time) template {
	var found, elsewhere proxmox.Resource
	for _, r := range all {
		if r.Type != "qemu" || r.Name != name || !r.Template {
			continue
		}
		if r.Node != node {
			elsewhere = r
		} else if r.VMID > found.VMID {
			found = r
		}
	}
	if found.VMID == 0 {
		if elsewhere.VMID != 0 {
			return template{problem: fmt.Sprintf("template %q is VM %d on node %s, not on %s; build or copy it there, or set the node to %s",
				name, elsewhere.VMID, elsewhere.Node, node, elsewhere.Node)}
		}
		return template{problem: fmt.Sprintf("template %q isn't on node %s as far as this token sees; build it, or grant PVETemplateUser on its resource pool",
			name, node)}
	}
	return g.readTemplate(ctx, found, name, at)
}

// readTemplate says whether the template of that name can be cloned now.
func (g *gatherer) readTemplate(ctx context.Context, found proxmox.Resource, name string, at time.Time) template {
	t := template{id: found.VMID}
	cfg, _, err := g.config(ctx, found, at)
	if err != nil {
		t.problem = err.Error()
		return t
	}
	t.cfg = cfg
	if i, err := runner.ParseImage(cfg.Description); err == nil && i.VMID == t.id {
		t.image = i
	}
	switch {
	case found.Lock != "":
		t.problem = fmt.Sprintf("template %q (VM %d) is locked (%s); it is used again when the lock goes", name, t.id, found.Lock)
	default:
		t.way, t.why, t.problem = g.spec.choose(name, t, g.seeders, g.means)
	}
	return t
}

// queue looks at GitHub: registrations first, then jobs, so that a runner that takes a job between the two makes the
// job vanish rather than the runner. A look at Proxmox may be under way, so it leaves spec alone.
func (g *gatherer) queue(ctx context.Context, targets []runner.Target) queue {
	ctx, cancel := context.WithTimeout(ctx, queueTimeout)
	defer cancel()
	q := queue{at: time.Now(), registrations: map[runner.Target][]runner.Registration{}, failed: map[runner.Target]error{}}
	half := time.Now().Add(queueTimeout / 2) // the rest is for the jobs
	for i, t := range targets {
		list, err := g.registrations(ctx, t, time.Until(half)/time.Duration(len(targets)-i))
		if err != nil {
			q.failed[t] = err
			continue
		}
		q.registrations[t] = list
	}
	reading, err := g.source.Read(ctx)
	if err != nil {
		for _, t := range targets {
			q.failed[t] = err
		}
	}
	for t, err := range reading.Partial {
		q.failed[t] = err
	}
	q.demand = reading
	return q
}

// registrations lists those of one target, in its share of the time: one that hangs keeps no other from being read.
func (g *gatherer) registrations(ctx context.Context, t runner.Target, share time.Duration) ([]runner.Registration, error) {
	ctx, cancel := context.WithTimeout(ctx, share)
	defer cancel()
	return g.gh.Runners(ctx, t)
}

// limited returns until when GitHub asks us to wait; zero when it doesn't.
func (q queue) limited() time.Time {
	var until time.Time
	for _, err := range q.failed {
		var e *github.Error
		if errors.As(err, &e) && e.RetryAt.After(until) {
			until = e.RetryAt
		}
	}
	return until
}
