package pve

import (
	"context"
	"fmt"
	"maps"
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

// runDestroy is the qmdestroy worker: disks first, then the resource pool, the configuration file last.
func (s *Server) runDestroy(ctx context.Context, w *worker, vmid int, purge, sweep bool) error {
	release, err := w.lockVM(ctx, vmid)
	if err != nil {
		return err
	}
	defer release()
	if err := w.point(ctx, pointLocked); err != nil {
		return err
	}
	s.lock()
	v, aerr := s.destroyable(w.node.name, vmid)
	if aerr == nil && v.conf["lock"] != "suspended" {
		aerr = v.checkLock()
	}
	if aerr == nil && v.template() {
		aerr = s.baseInUse(v)
	}
	s.mu.Unlock()
	if aerr != nil {
		return aerr
	}
	if err := pause(ctx, s.opts.Timing.Destroy); err != nil {
		return err
	}
	if err := s.opts.Engine.Destroy(ctx, vmid); err != nil {
		if ctx.Err() != nil {
			return err
		}
		w.warn(fmt.Sprintf("Could not remove disk, check manually: %s", err))
	}
	s.lock()
	s.freeVolumes(v)
	if sweep { // disks that a killed clone left under this id
		maps.DeleteFunc(s.volumes, func(key string, vol *volume) bool {
			return vol.vmid == vmid && s.reaches(v.node, key)
		})
	}
	s.mu.Unlock()
	if err := w.point(ctx, pointCopy); err != nil {
		return err
	}
	s.lock()
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
		w.say(fmt.Sprintf("purging VM %d from related configurations..", vmid))
	}
	if err := w.point(ctx, pointPool); err != nil {
		return err
	}
	s.lock()
	s.forget(v, w.auth.id)
	s.mu.Unlock()
	return nil
}
