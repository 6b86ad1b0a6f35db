package fleet

import "mayfly/internal/runner"

// NodeState is what a node is good for.
type NodeState string

// The states of nodes.
const (
	NodeOnline      NodeState = "online"
	NodeOffline     NodeState = "offline"
	NodeSilent      NodeState = "silent" // it counts as online and answers nothing
	NodeMaintenance NodeState = "maintenance"
	NodeCordoned    NodeState = "cordoned"
)

// NodeStatus is a node that runners may live on, as placement saw it in the last pass. Figures are 0 where the token may not know
// them (they need Sys.Audit on the node).
type NodeStatus struct {
	Name  string    `json:"name"`
	State NodeState `json:"state"`
	// Why says what is in the way of new runners in a state other than online.
	Why string `json:"why,omitempty"`
	// Runners are ours on it, those included that are being made or destroyed, and Tasks the clones and destroys among them.
	Runners int `json:"runners"`
	Tasks   int `json:"tasks"`
	// Memory is what the node has in all, and MemoryFree what new runners may still be promised, by its reserve and the overcommit; where
	// memory isn't counted, what nobody uses.
	Memory     runner.Bytes `json:"memory"`
	MemoryFree runner.Bytes `json:"memory_free"`
	// Cores are the node's own, and CoresTaken those of running runners.
	Cores      float64 `json:"cores"`
	CoresTaken int     `json:"cores_taken"`
}

// nodeStatus tells of the nodes, with what is planned on them.
func (p *planner) nodeStatus() []NodeStatus {
	list := make([]NodeStatus, 0, len(p.room.names))
	for _, name := range p.room.names {
		n := p.nodeLoad(name)
		s := NodeStatus{
			Name: name, State: NodeOnline, Runners: n.runners, Tasks: n.tasks, Memory: n.memory, Cores: n.cpus, CoresTaken: n.cores,
		}
		s.MemoryFree = max(n.memory-n.used-n.promised, 0)
		if p.s.Placement.countsMemory(n) {
			s.MemoryFree = max(p.s.Placement.freeMemory(n), 0)
		}
		switch why := p.shunned[thing{kind: ThingNode, node: name}]; {
		case !n.online:
			s.State, s.Why = NodeOffline, "Proxmox shows it as offline"
		case n.silent != "":
			s.State, s.Why = NodeSilent, n.silent
		case n.maintenance:
			s.State, s.Why = NodeMaintenance, "an administrator has put it into maintenance"
		case why != "":
			s.State, s.Why = NodeCordoned, why
		}
		list = append(list, s)
	}
	return list
}
