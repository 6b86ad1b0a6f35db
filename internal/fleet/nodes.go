package fleet

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// AllNodes in [Spec.Nodes] stands for every node of the cluster.
const AllNodes = "all"

// node is a Proxmox node as the last look saw it. Name and status every token sees; the figures need Sys.Audit on the
// node, and are up to 10 s old (pvestatd's broadcast).
type node struct {
	name   string
	online bool
	// maintenance is set by an administrator (ha-manager crm-command node-maintenance enable), shown since Proxmox VE 8.3.
	maintenance bool
	// silent says why it answers nothing, though it counts as online; "" when it answers.
	silent string
	// cpus and memory are the whole machine's, used is the memory in use; 0 where the token may not know.
	cpus         float64
	memory, used runner.Bytes
}

// space is a storage on one node, or, where all nodes see the same one, on all of them. The token sees those that it may
// audit.
type space struct {
	name   string
	kind   string // Proxmox's plugin type: "lvmthin", "dir", …
	shared bool
	active bool
	// free is what nobody uses yet; size is the whole.
	free, size runner.Bytes
}

// runsOn reports whether runners may live on the node.
func (s Spec) runsOn(name string) bool {
	if len(s.Nodes) == 0 {
		return name == s.Node
	}
	return slices.Contains(s.Nodes, AllNodes) || slices.Contains(s.Nodes, name)
}

// lone reports whether runners live on one node alone, whatever the cluster has.
func (s Spec) lone() bool {
	return len(s.Nodes) == 0 || len(s.Nodes) == 1 && s.Nodes[0] == s.Node
}

// nodesOf are the nodes that runners may live on, by name.
func (s Spec) nodesOf(all []proxmox.Resource) map[string]node {
	nodes := map[string]node{}
	for _, r := range all {
		if r.Type != "node" || !s.runsOn(r.Node) {
			continue
		}
		nodes[r.Node] = node{
			name: r.Node, online: r.Status == "online" || s.lone(), // of a lone one its own list tells
			maintenance: r.HAState == "maintenance",
			cpus:        r.MaxCPU, memory: r.MaxMem, used: r.Mem,
		}
	}
	return nodes
}

// spaceKey names a storage of a node. A shared one is the same on all of them.
func spaceKey(node, storage string, shared bool) string {
	if shared {
		return storage
	}
	return node + "/" + storage
}

// spacesOf are the storages that the token sees, by node and name.
func spacesOf(all []proxmox.Resource) map[string]space {
	spaces := map[string]space{}
	for _, r := range all {
		if r.Type == "storage" && r.Node != "" {
			spaces[spaceKey(r.Node, r.Storage, false)] = space{
				name: r.Storage, kind: r.PluginType, shared: r.Shared, active: r.Status == "available" || r.Status == "",
				free: r.MaxDisk - r.Disk, size: r.MaxDisk,
			}
		}
	}
	return spaces
}

// order gives the nodes' names, the home node first, so that one cluster is always looked at in one order.
func (s Spec) order(nodes map[string]node) []string {
	names := sortedKeys(nodes)
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Compare(boolInt(a != s.Node), boolInt(b != s.Node))
	})
	return names
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// checkNodes looks for the configured nodes among those of the cluster, which every token sees.
func (s Spec) checkNodes(all []proxmox.Resource) error {
	var names []string
	for _, r := range all {
		if r.Type == "node" {
			names = append(names, r.Node)
		}
	}
	slices.Sort(names)
	for _, want := range append([]string{s.Node}, s.Nodes...) {
		if want == AllNodes || slices.Contains(names, want) {
			continue
		}
		if want == s.Node {
			return fmt.Errorf("%w: the cluster has no node %q; set PROXMOX_NODE (proxmox.node) to one of: %s", errNoNode, want, strings.Join(names, ", "))
		}
		return fmt.Errorf("%w: the cluster has no node %q; set PROXMOX_NODES (proxmox.nodes) to some of: %s", errNoNode, want, strings.Join(names, ", "))
	}
	return nil
}

const (
	// nodePatience bounds one question to a node where others can go on without it.
	nodePatience = 5 * time.Second
	// silenceFor is how long a node that didn't answer isn't asked again: each question may cost nodePatience.
	silenceFor = 20 * time.Second
)

// silence is what is kept of a node that didn't answer.
type silence struct {
	until time.Time
	why   string
}

// listNodes reads the own lists of the nodes that have VMs of our range, which tell true now whether a VM runs. Where
// runners live on one node alone, its failure is the look's; else the node counts as silent for a while.
func (g *gatherer) listNodes(ctx context.Context, o *supply, all []proxmox.Resource) (map[int]proxmox.NodeVM, error) {
	status := map[int]proxmox.NodeVM{}
	busy := map[string]bool{}
	for _, r := range all {
		busy[r.Node] = busy[r.Node] || r.Type == "qemu" && g.spec.VMIDs.Contains(r.VMID)
	}
	if g.spec.lone() {
		list, err := g.pve.NodeVMs(ctx, g.spec.Node)
		if err != nil {
			return nil, err
		}
		for _, v := range list {
			status[v.VMID] = v
		}
		return status, nil
	}
	for _, name := range g.spec.order(o.nodes) {
		n := o.nodes[name]
		if !n.online {
			continue
		}
		if quiet := g.silent[name]; o.at.Before(quiet.until) {
			n.silent = quiet.why
			o.nodes[name] = n
			continue
		}
		if !busy[name] {
			continue
		}
		list, err := g.askNode(ctx, name)
		if err != nil {
			n.silent = err.Error()
			o.nodes[name] = n
			g.silent[name] = silence{until: o.at.Add(silenceFor), why: n.silent}
			continue
		}
		delete(g.silent, name)
		for _, v := range list {
			status[v.VMID] = v
		}
	}
	return status, nil
}

func (g *gatherer) askNode(ctx context.Context, name string) ([]proxmox.NodeVM, error) {
	ctx, cancel := context.WithTimeout(ctx, nodePatience)
	defer cancel()
	return g.pve.NodeVMs(ctx, name)
}

// reachable reports whether a question to the node may be answered; a node that we know nothing of gets the benefit.
func (o supply) reachable(name string) bool {
	n, known := o.nodes[name]
	return !known || n.online && n.silent == ""
}

// down says why the node can't be worked with; "" when it can.
func (o supply) down(name string) string {
	n, known := o.nodes[name]
	switch {
	case !known:
		return ""
	case !n.online:
		return "it is offline"
	case n.silent != "":
		return "it doesn't answer: " + n.silent
	}
	return ""
}

// copies finds what the pool, and others of the same base, are cloned from on each node that runners may live on. The first that can be used leads; the
// others are its copies.
func (g *gatherer) copies(ctx context.Context, p runner.Pool, all []proxmox.Resource, o *supply) template {
	if g.spec.lone() {
		return g.copyOn(ctx, g.spec.Node, p, all, o.at)
	}
	var list []template
	for _, name := range g.spec.order(o.nodes) {
		if !o.reachable(name) {
			continue
		}
		list = append(list, g.copyOn(ctx, name, p, all, o.at))
	}
	if len(list) == 0 {
		return template{code: WaitNode, problem: "none of our nodes can be worked with: " + o.whyDown(g.spec)}
	}
	lead := slices.IndexFunc(list, func(t template) bool { return t.id != 0 && t.problem == "" })
	if lead < 0 {
		lead = max(slices.IndexFunc(list, func(t template) bool { return t.id != 0 }), 0)
	}
	t := list[lead]
	for i, other := range list {
		if i != lead && other.id != 0 {
			t.copies = append(t.copies, other)
		}
	}
	return t
}

// whyDown says why nodes can't be worked with.
func (o supply) whyDown(s Spec) string {
	var words []string
	for _, name := range s.order(o.nodes) {
		if why := o.down(name); why != "" {
			words = append(words, name+": "+why)
		}
	}
	return strings.Join(words, "; ")
}

// copyOn finds it on one node.
func (g *gatherer) copyOn(ctx context.Context, name string, p runner.Pool, all []proxmox.Resource, at time.Time) template {
	var t template
	if p.Image != "" {
		t = g.image(ctx, name, p.Image, all, at)
	} else {
		t = g.template(ctx, name, p.Template, all, at)
	}
	t.node = name
	for i := range t.older {
		t.older[i].node = name
	}
	return t
}

// scanned are the nodes whose task lists are read after a start: those that a clone of ours may run on.
func (g *gatherer) scanned(ctx context.Context) ([]string, error) {
	if g.spec.lone() {
		return []string{g.spec.Node}, nil
	}
	all, err := g.pve.Resources(ctx)
	if err != nil {
		return nil, err
	}
	nodes := g.spec.nodesOf(all)
	return slices.DeleteFunc(g.spec.order(nodes), func(name string) bool { return !nodes[name].online }), nil
}
