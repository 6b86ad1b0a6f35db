package pve

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// SetQuorum takes the cluster's quorum away, or gives it back: without it /etc/pve can be read but not written, on every
// node. A cluster loses it by itself while half of its nodes or more are dead.
func (s *Server) SetQuorum(quorate bool) {
	s.lock()
	defer s.mu.Unlock()
	s.noQuorum = !quorate
}

// SetReadOnly makes /etc/pve of one node read-only, as on a node that is cut off from the others, or gives it back.
func (s *Server) SetReadOnly(name string, readOnly bool) error {
	s.lock()
	defer s.mu.Unlock()
	n := s.nodes[name]
	if n == nil {
		return fmt.Errorf("set /etc/pve of %s read-only: no such node", name)
	}
	n.readOnly = readOnly
	return nil
}

// lostQuorum reports whether the nodes that live are too few.
func (c *cluster) lostQuorum() bool {
	dead := 0
	for _, n := range c.nodes {
		if !n.died.IsZero() {
			dead++
		}
	}
	return c.noQuorum || dead > 0 && dead*2 >= len(c.nodes)
}

// readOnly reports whether a node can't write to /etc/pve.
func (c *cluster) readOnly(name string) bool { return c.lostQuorum() || c.nodes[name].readOnly }

// seesOnline reports whether a node takes another for a member that is online.
func (c *cluster) seesOnline(from, name string) bool {
	if from == name {
		return true
	}
	return !c.noQuorum && !c.nodes[from].readOnly && !c.nodes[name].readOnly && !c.nodes[name].seenDead(time.Now())
}

// unwritable is what a write of a VM's configuration says on a read-only /etc/pve.
func (c *cluster) unwritable(node string, vmid int) *apiError {
	return failf("unable to open file '/etc/pve/nodes/%s/qemu-server/%d.conf.tmp.%d' - Permission denied", node, vmid, c.nodes[node].pids)
}

// cfsLockWait is how long a write under a lock of the whole cluster tries.
const cfsLockWait = 10 * time.Second

// writable refuses what can't be done without a writable /etc/pve, in the words of Proxmox VE 9.2 (captures quorum-*).
// What needs none goes on: stop, reset, the agent, files on storages.
func (s *Server) writable(q *call) *apiError {
	if q.method.Method == http.MethodGet {
		return nil
	}
	s.lock()
	readOnly := s.readOnly(q.node.name)
	refusal := s.unwritable(q.node.name, q.vmid())
	s.mu.Unlock()
	if !readOnly {
		return nil
	}
	switch path := q.method.Path; {
	case strings.HasSuffix(path, "/clone"), strings.HasSuffix(path, "/status/start"),
		q.method.Method == http.MethodPost && (path == "/nodes/{node}/qemu" || path == "/nodes/{node}/lxc"):
		return failf("cluster not ready - no quorum?")
	case q.method.Method == http.MethodPut && strings.HasSuffix(path, "/qemu/{vmid}/config"):
		return refusal
	case strings.HasPrefix(path, "/pools"), strings.HasPrefix(path, "/access"):
		return s.cfsLocked(q, "file-user_cfg")
	case strings.HasPrefix(path, "/cluster/mapping"):
		return s.cfsLocked(q, "file-mapping_directory_cfg")
	}
	return nil
}

// cfsLocked tries for a lock that nobody can get.
func (s *Server) cfsLocked(q *call, lock string) *apiError {
	if err := pause(q.ctx, cfsLockWait); err != nil {
		return failf("%s", err) // nobody reads it
	}
	return failf("cfs-lock '%s' error: no quorum!", lock)
}
