package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mayfly/internal/runner"
)

// AllNodes in Proxmox.Nodes stands for every node of the cluster.
const AllNodes = "all"

// Placement says how a runner's node is chosen; [FilePlacement] has the words.
type Placement struct {
	Strategy                                    string
	MemoryReserve, LinkedGrowth, StorageReserve runner.Bytes
	// MemoryPercent and CPUPercent are of what a node has; 0 doesn't count it.
	MemoryPercent, CPUPercent int
	NodeTasks, StorageTasks   int
	AntiAffinity              bool
	// Weights are by node, each more than 0.
	Weights map[string]float64
}

func (f FilePlacement) placement() Placement {
	p := Placement{
		Strategy: f.Strategy, MemoryReserve: runner.Bytes(f.MemoryReserve), LinkedGrowth: runner.Bytes(f.LinkedGrowth),
		StorageReserve: runner.Bytes(f.StorageReserve), MemoryPercent: f.MemoryOvercommit, CPUPercent: f.CPUOvercommit,
		NodeTasks: f.NodeTasks, StorageTasks: f.StorageTasks, AntiAffinity: f.AntiAffinity,
	}
	for _, w := range f.Weights {
		name, value, _ := strings.Cut(w, "=")
		if p.Weights == nil {
			p.Weights = map[string]float64{}
		}
		p.Weights[name], _ = strconv.ParseFloat(value, 64) // checked
	}
	return p
}

func filePlacementOf(p Placement) FilePlacement {
	f := FilePlacement{
		Strategy: p.Strategy, MemoryReserve: Size(p.MemoryReserve), LinkedGrowth: Size(p.LinkedGrowth), StorageReserve: Size(p.StorageReserve),
		MemoryOvercommit: p.MemoryPercent, CPUOvercommit: p.CPUPercent, NodeTasks: p.NodeTasks, StorageTasks: p.StorageTasks,
		AntiAffinity: p.AntiAffinity,
	}
	for name, w := range p.Weights {
		f.Weights = append(f.Weights, name+"="+strconv.FormatFloat(w, 'f', -1, 64))
	}
	slices.Sort(f.Weights)
	return f
}

// checkPlacement holds the nodes of pools and the weights against the nodes that runners may live on.
func (l *loader) checkPlacement() {
	allowed := l.file.Proxmox.Nodes
	if len(allowed) == 0 {
		allowed = []string{l.file.Proxmox.Node}
	}
	if path := "placement.weights"; !l.bad(path) {
		for i, w := range l.file.Placement.Weights {
			_, value, _ := strings.Cut(w, "=")
			if n, err := strconv.ParseFloat(value, 64); err != nil || n <= 0 {
				f, _ := formOf("weight")
				l.problem(l.origins[path], index(path, i), fmt.Sprintf("%q is not a weight", w), f.want)
			}
		}
	}
	if slices.Contains(allowed, AllNodes) || l.bad("proxmox.nodes") || l.bad("proxmox.node") {
		return
	}
	for i, p := range l.file.Pools {
		path := index("pools", i) + ".nodes"
		for _, name := range p.Nodes {
			if !l.bad(path) && !slices.Contains(allowed, name) {
				l.problem(l.origins[path], path, fmt.Sprintf("runners don't live on node %q", name), "want nodes of proxmox.nodes: "+strings.Join(allowed, ", "))
			}
		}
	}
}
