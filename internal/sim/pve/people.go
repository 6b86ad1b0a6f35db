package pve

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What follows are things that people do to VMs, at the shell of a node or in the web interface, in an instant.

// Archive is a backup of a VM: what its configuration was.
type Archive struct {
	VMID int
	conf map[string]string
	pool string
}

// Backup saves a VM. While vzdump is at it, the VM is locked: see SetLock.
func (s *Server) Backup(vmid int) (Archive, error) {
	s.lock()
	defer s.mu.Unlock()
	v := s.vms[vmid]
	if v == nil {
		return Archive{}, fmt.Errorf("back up VM %d: no such VM", vmid)
	}
	conf := maps.Clone(v.conf)
	delete(conf, "lock")
	return Archive{VMID: vmid, conf: conf, pool: v.pool}, nil
}

// Restore makes a stopped VM from a backup, with its name, description and tags, under a VMID that no guest has; pool is
// the resource pool it goes into, "" for none.
func (s *Server) Restore(a Archive, node string, vmid int, pool string) error {
	s.lock()
	defer s.mu.Unlock()
	if a.conf == nil || s.nodes[node] == nil || s.unusedID(vmid) != nil || pool != "" && s.pools[pool] == nil {
		return fmt.Errorf("restore VM %d as %d on %s: no backup, no such node or resource pool, or the VMID is used", a.VMID, vmid, node)
	}
	v := &vm{id: vmid, node: node, pool: pool, conf: maps.Clone(a.conf)}
	for _, opt := range slices.Sorted(maps.Keys(v.disks())) {
		d := v.disks()[opt]
		volid := s.newDisk(node, vmid, d.storage(), d.size())
		v.conf[opt] = volid + strings.TrimPrefix(v.conf[opt], d.file)
	}
	s.enrol(v, "")
	return nil
}

// Copy clones a VM as an administrator does: all of it comes along, the description and the tags, too.
func (s *Server) Copy(vmid, newid int, pool string) error {
	a, err := s.Backup(vmid)
	if err != nil {
		return fmt.Errorf("copy VM %d: %w", vmid, err)
	}
	s.lock()
	node := ""
	if v := s.vms[vmid]; v != nil {
		node = v.node
	}
	s.mu.Unlock()
	delete(a.conf, "template")
	return s.Restore(a, node, newid, pool)
}

// Edit changes options of a VM; "" removes one.
func (s *Server) Edit(vmid int, options map[string]string) error {
	s.lock()
	defer s.mu.Unlock()
	v := s.vms[vmid]
	if v == nil {
		return fmt.Errorf("edit VM %d: no such VM", vmid)
	}
	for _, opt := range slices.Sorted(maps.Keys(options)) {
		if options[opt] == "" {
			delete(v.conf, opt)
			continue
		}
		v.conf[opt] = options[opt]
	}
	return nil
}

// Drop takes a VM away with its disks, as `qm destroy` does. A machine that runs is stopped first.
func (s *Server) Drop(vmid int) error {
	s.lock()
	v := s.vms[vmid]
	if v == nil {
		s.mu.Unlock()
		return fmt.Errorf("drop VM %d: no such VM", vmid)
	}
	if v.running {
		s.powerOff(v)
	}
	s.freeVolumes(v)
	s.forget(v, "")
	s.mu.Unlock()
	return s.opts.Engine.Destroy(s.ctx, vmid)
}
