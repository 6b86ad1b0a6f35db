package pve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// What follows are things that happen to nodes. All words and times were recorded from a cluster of three (Proxmox VE 9.2:
// captures x3-*).
const (
	// noRoute is how long the proxy looks for a node that is off, and deathSeen how long the others take to notice.
	noRoute   = 3 * time.Second
	deathSeen = 8 * time.Second
	// firstWords is how long pvestatd of a node that booted says nothing.
	firstWords = 15 * time.Second
)

// ailing is what is wrong with a node. Server.mu guards it.
type ailing struct {
	ctx      context.Context // what runs on the node lives in it
	kill     context.CancelCauseFunc
	died     time.Time // zero while it lives
	readOnly bool      // its /etc/pve
	resting  bool      // in maintenance
	quiet    time.Time // its pvestatd says nothing until then
}

// KillNode takes the power of a node. Its machines are off, its tasks and calls end without a word, and the other nodes
// show its VMs as they last were for five minutes. Nobody can connect to it: clients need another node's address.
func (s *Server) KillNode(ctx context.Context, name string) error {
	s.lock()
	n := s.nodes[name]
	if n == nil || !n.died.IsZero() {
		s.mu.Unlock()
		return fmt.Errorf("kill node %s: no such node, or dead already", name)
	}
	n.died = time.Now()
	n.kill(errKilled)
	var running []*vm
	for _, id := range slices.Sorted(maps.Keys(s.vms)) {
		if v := s.vms[id]; v.node == name && v.running {
			running = append(running, v)
			s.powerOff(v)
		}
	}
	s.mu.Unlock()
	for _, v := range running {
		if err := s.opts.Engine.Stop(ctx, v.id); err != nil {
			return fmt.Errorf("kill node %s: %w", name, err)
		}
	}
	return nil
}

// ReviveNode boots a node that KillNode killed. Its VMs are off; the cluster shows what was last said of them until its
// pvestatd speaks, 15 s later.
func (s *Server) ReviveNode(name string) error {
	s.lock()
	defer s.mu.Unlock()
	n := s.nodes[name]
	if n == nil || n.died.IsZero() {
		return fmt.Errorf("revive node %s: no such node, or not dead", name)
	}
	now := time.Now()
	n.died, n.boot, n.quiet = time.Time{}, now, now.Add(firstWords)
	n.ctx, n.kill = context.WithCancelCause(s.ctx)
	return nil
}

// SetMaintenance puts a node into maintenance, as `ha-manager crm-command node-maintenance enable` does, or ends it. Its VMs
// stay: the HA manager moves only those that it manages, of which there are none here.
func (s *Server) SetMaintenance(name string, on bool) error {
	s.lock()
	defer s.mu.Unlock()
	n := s.nodes[name]
	if n == nil {
		return fmt.Errorf("set maintenance of %s: no such node", name)
	}
	n.resting = on
	return nil
}

// FreezeBroadcast keeps pvestatd of a node silent for a while, as one that hangs on a dead storage: names and status in
// /cluster/resources stay as they are, and are unknown after five minutes.
func (s *Server) FreezeBroadcast(name string, lasting time.Duration) error {
	s.lock()
	defer s.mu.Unlock()
	n := s.nodes[name]
	if n == nil {
		return fmt.Errorf("freeze broadcast of %s: no such node", name)
	}
	n.quiet = time.Now().Add(lasting)
	return nil
}

// OccupyWorkers keeps some of a node's daemon workers busy for a while, as other people's slow calls do: protected calls
// wait for one that is free. Those that are at work first finish.
func (s *Server) OccupyWorkers(name string, workers int, lasting time.Duration) error {
	s.mu.Lock()
	n := s.nodes[name]
	s.mu.Unlock()
	if n == nil || workers < 1 || workers > cap(n.workers) {
		return fmt.Errorf("occupy %d workers of %s: no such node, or it has not so many", workers, name)
	}
	s.workers.Go(func() {
		taken := 0
		defer func() {
			for range taken {
				<-n.workers
			}
		}()
		for taken < workers {
			select {
			case n.workers <- struct{}{}:
				taken++
			case <-s.ctx.Done():
				return
			}
		}
		_ = pause(s.ctx, lasting) // an error is the server's end
	})
	return nil
}

// RotateTasks makes a node forget its finished tasks, as it does when its index of them grows too big: from then on they
// are "no such task".
func (s *Server) RotateTasks(name string) int {
	s.lock()
	defer s.mu.Unlock()
	before := len(s.tasks)
	s.tasks = slices.DeleteFunc(slices.Clone(s.tasks), func(t *task) bool {
		old := t.node == name && !t.running()
		if old {
			s.rotated = append(s.rotated, t)
		}
		return old
	})
	return before - len(s.tasks)
}

func (s *Server) down(n *node) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !n.died.IsZero()
}

// apiNode is the node that a request was sent to: the one that its host names, and Options.Node for any other name.
func (s *Server) apiNode(host string) string {
	name, _, _ := strings.Cut(host, ":")
	if slices.Contains(s.opts.Nodes, name) {
		return name
	}
	return s.opts.Node
}

func (s *Server) apiNodeDown(host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.nodes[s.apiNode(host)].died.IsZero()
}

// seenDead reports whether the other nodes know by now that the node is dead.
func (n *node) seenDead(now time.Time) bool { return !n.died.IsZero() && now.Sub(n.died) >= deathSeen }

// speaks reports whether the node's pvestatd says something of its guests.
func (c *cluster) speaks(name string) bool {
	n := c.nodes[name]
	return n.died.IsZero() && !c.toldAt.Before(n.quiet)
}

// storageWord is the status of a node's storages in lists.
func (c *cluster) storageWord(name string) string {
	if n := c.nodes[name]; !n.died.IsZero() && time.Since(n.died) > toldLife {
		return "unknown"
	}
	return "available"
}

// reach is the way of a call to its node.
func (s *Server) reach(q *call) *apiError {
	if !s.down(q.node) {
		return nil
	}
	if err := pause(q.ctx, noRoute); err != nil {
		return failf("%s", err) // nobody reads it
	}
	return proxyError(595, "No route to host")
}
