package pve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What follows are things that happen to VMs behind the API's back, for tests: root at a node's shell, a storage that
// fills up.

// SetLock writes a config lock, or removes it for "": what vzdump does for as long as it saves a VM ("backup"), and
// qm unlock when somebody has seen to it. No token can do either.
func (s *Server) SetLock(vmid int, lock string) error {
	s.lock()
	defer s.mu.Unlock()
	v := s.vms[vmid]
	if v == nil {
		return fmt.Errorf("lock VM %d: no such VM", vmid)
	}
	if lock == "" {
		delete(v.conf, "lock")
	} else {
		v.conf["lock"] = lock
	}
	return nil
}

// Rename gives a VM or template another name, as an editor on the node does.
func (s *Server) Rename(vmid int, name string) error {
	s.lock()
	defer s.mu.Unlock()
	v := s.vms[vmid]
	if v == nil {
		return fmt.Errorf("rename VM %d: no such VM", vmid)
	}
	v.conf["name"] = name
	return nil
}

// Locks are the VMs that have a config lock, and which. One that no task holds any more only root can remove.
func (s *Server) Locks() map[int]string {
	s.lock()
	defer s.mu.Unlock()
	out := map[int]string{}
	for id, v := range s.vms {
		if lock := v.conf["lock"]; lock != "" {
			out[id] = lock
		}
	}
	return out
}

// Halt makes QEMU stop a running VM's processors for good: status "io-error" when its storage is full, "paused" by
// hand, "internal-error". The process stays, so the node's list goes on saying "running"; QEMU's own word is in
// status/current, in lists with full=1, and from the next broadcast on in /cluster/resources (pve-manager
// PVE/Service/pvestatd.pm, which tells qmpstatus). The agent answers no more. Only a stop or reset ends it.
func (s *Server) Halt(ctx context.Context, vmid int, status string) error {
	s.lock()
	v := s.vms[vmid]
	if v == nil || !v.running {
		s.mu.Unlock()
		return fmt.Errorf("halt VM %d: it doesn't run", vmid)
	}
	v.halted = status
	s.mu.Unlock()
	// A machine that never goes on needs no engine. Its exit isn't told: for Proxmox it still runs.
	return s.opts.Engine.Stop(ctx, vmid)
}

// Migrate moves a VM or a container with its disks to another node, as it is: running or not. From then on its old path
// answers as if it weren't there (recorded from Proxmox VE 9.2: moved-*).
func (s *Server) Migrate(vmid int, to string) error {
	s.lock()
	defer s.mu.Unlock()
	var node *string
	switch v, ct := s.vms[vmid], s.containers[vmid]; {
	case s.nodes[to] == nil:
	case v != nil:
		node = &v.node
	case ct != nil:
		node = &ct.node
	}
	if node == nil {
		return fmt.Errorf("migrate VM %d to %s: no such VM, or no such node", vmid, to)
	}
	for _, key := range slices.Sorted(maps.Keys(s.volumes)) {
		if vol := s.volumes[key]; vol.vmid == vmid && strings.HasPrefix(key, *node+"/") {
			delete(s.volumes, key)
			s.volumes[to+strings.TrimPrefix(key, *node)] = vol
		}
	}
	*node = to
	return nil
}
