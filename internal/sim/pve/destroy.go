package pve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// destroyVM is DELETE /nodes/{node}/qemu/{vmid} (API2/Qemu.pm, destroy_vm).
func (s *Server) destroyVM(q *call) (any, error) {
	if err := rootOnly(q, "skiplock"); err != nil {
		return nil, err
	}
	vmid, purge, sweep := q.vmid(), q.params.yes("purge"), q.params.yes("destroy-unreferenced-disks")
	s.lock()
	_, err := s.destroyable(q.node.name, vmid)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.fork(q.node.name, "qmdestroy", strconv.Itoa(vmid), q.token, func(ctx context.Context, w *worker) error {
		return s.runDestroy(ctx, w, vmid, purge, sweep)
	}), nil
}

// destroyable is what is checked before the lock and again with it.
func (s *Server) destroyable(node string, vmid int) (*vm, *apiError) {
	v, err := s.vmOn(node, vmid)
	if err != nil {
		return nil, err
	}
	if err := v.checkProtection(fmt.Sprintf("can't remove VM %d", vmid)); err != nil {
		return nil, err
	}
	if v.running {
		return nil, failf("VM %d is running - destroy failed", vmid)
	}
	return v, nil
}

// runDestroy is the qmdestroy worker.
func (s *Server) runDestroy(ctx context.Context, w *worker, vmid int, purge, sweep bool) error {
	return underLock(ctx, w, vmid, func() (*vm, *apiError) {
		v, err := s.destroyable(w.node.name, vmid)
		if err == nil && v.conf["lock"] != "suspended" {
			err = v.checkLock()
		}
		if err == nil && v.template() {
			err = s.baseInUse(v)
		}
		return v, err
	}, func(v *vm) error { return s.removeVM(ctx, w, v, purge, sweep) })
}

// removeVM destroys the VM: disks first, then the resource pool, the configuration file last. The caller holds its lock file.
func (s *Server) removeVM(ctx context.Context, w *worker, v *vm, purge, sweep bool) error {
	if err := pause(ctx, s.opts.Timing.Destroy); err != nil {
		return err
	}
	leaks := s.opts.Engine.Destroy(ctx, v.id)
	if leaks == nil && w.keepDisks != "" {
		leaks = errors.New(w.keepDisks)
	}
	if leaks != nil {
		if ctx.Err() != nil {
			return leaks
		}
		for _, opt := range slices.Sorted(maps.Keys(v.disks())) { // QemuServer.pm, destroy_vm: the config goes all the same
			w.warn(fmt.Sprintf("Could not remove disk '%s', check manually: %s", v.disks()[opt].file, leaks))
		}
	}
	s.lock()
	if leaks == nil {
		s.freeVolumes(v)
	}
	if sweep && w.keepDisks == "" { // disks that a killed clone left under this id
		maps.DeleteFunc(s.volumes, func(key string, vol *volume) bool {
			return vol.vmid == v.id && s.reaches(v.node, key)
		})
	}
	s.mu.Unlock()
	if err := w.point(ctx, pointCopy); err != nil {
		return err
	}
	s.lock()
	if s.readOnly(v.node) { // the disks are gone by now (recorded from Proxmox VE 9.2: quorum-*)
		err := s.unwritable(v.node, v.id)
		s.mu.Unlock()
		return err
	}
	v.record.keep(v)
	v.conf = map[string]string{"lock": lockDestroyed}
	s.mu.Unlock()
	if err := w.point(ctx, pointCopied); err != nil {
		return err
	}
	s.lock()
	v.pool = ""
	s.mu.Unlock()
	if purge {
		w.say(fmt.Sprintf("purging VM %d from related configurations..", v.id))
	}
	if err := w.point(ctx, pointPool); err != nil {
		return err
	}
	s.lock()
	s.forget(v, w.auth.id)
	s.mu.Unlock()
	return nil
}
