package pve

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Container is a running container, as [Options.Container] plays its inside.
type Container struct {
	VMID int
	Node string
	// Config is its configuration at this start.
	Config map[string]string
	// Start counts its starts, from 1.
	Start int

	// AuthorizedKeys are the lines of its creation's ssh-public-keys, root's authorized_keys at the first start. They are
	// nowhere else.
	AuthorizedKeys string

	archive *file
}

// Archive gives the archive that the container was made of, for the caller to close: what is on its disk at the first
// start, before Proxmox changes a few files of it. It fails with [io.EOF] for a template that was there from the start
// and is only a size.
func (c *Container) Archive() (io.ReadCloser, error) {
	if c.archive == nil {
		return nil, io.EOF
	}
	return c.archive.open()
}

// mustRunContainer refuses what only makes sense on a running container, at once.
func (s *Server) mustRunContainer(q *call) *apiError {
	s.lock()
	defer s.mu.Unlock()
	if ct := s.containers[q.vmid()]; ct == nil || ct.node != q.node.name || !ct.running {
		return failf("CT %d not running", q.vmid())
	}
	return nil
}

// startContainer is POST status/start: one that runs is refused at once, all else is the task's to find out.
func (s *Server) startContainer(q *call) (any, error) {
	if err := rootOnly(q, "skiplock"); err != nil {
		return nil, err
	}
	vmid := q.vmid()
	s.lock()
	ct := s.containers[vmid]
	running := ct != nil && ct.running
	s.mu.Unlock()
	if running {
		return nil, failf("CT %d already running", vmid)
	}
	return s.fork(q.node.name, "vzstart", strconv.Itoa(vmid), q.token, func(ctx context.Context, w *worker) error {
		return underLock(ctx, w, vmid, func() (*container, *apiError) {
			ct, err := s.unlockedContainer(w.node.name, vmid)
			if err == nil && ct.running {
				err = failf("CT %d already running", vmid)
			}
			return ct, err
		}, func(ct *container) error { return s.powerOnContainer(ctx, w, ct) })
	}), nil
}

// unlockedContainer finds a container whose configuration has no lock.
func (s *Server) unlockedContainer(node string, vmid int) (*container, *apiError) {
	ct, err := s.containerOn(node, vmid)
	if err == nil {
		err = ct.checkLock()
	}
	return ct, err
}

// powerOnContainer runs the container's init, and what plays its inside.
func (s *Server) powerOnContainer(ctx context.Context, w *worker, ct *container) error {
	if err := pause(ctx, s.opts.Timing.Start); err != nil {
		return err
	}
	s.lock()
	defer s.mu.Unlock()
	if s.containers[ct.id] != ct {
		return failf("Configuration file 'nodes/%s/lxc/%d.conf' does not exist", ct.node, ct.id)
	}
	ct.applyPending()
	for _, opt := range slices.Sorted(maps.Keys(ct.conf)) {
		if br := containerFields(opt, ct.conf[opt])["bridge"]; isNumbered(opt, "net") && br != "" && br != bridge {
			s.logLocked(w, fmt.Sprintf("bridge '%s' does not exist", br))
			return failf("startup for container '%d' failed", ct.id)
		}
	}
	inside, cancel := context.WithCancel(s.ctx)
	ct.started++
	ct.running, ct.startedAt, ct.end, ct.gone = true, time.Now(), cancel, make(chan struct{})
	if play := s.opts.Container; play != nil {
		c := &Container{VMID: ct.id, Node: ct.node, Config: maps.Clone(ct.conf), Start: ct.started, AuthorizedKeys: ct.keys, archive: ct.archive}
		s.workers.Go(func() { play(inside, c) })
	}
	return nil
}

// powerOff ends the container's init. The caller holds Server.mu.
func (ct *container) powerOff() {
	if !ct.running {
		return
	}
	ct.end()
	close(ct.gone)
	ct.running, ct.end, ct.gone = false, nil, nil
}

// stopContainer is POST status/stop; shutdownContainer POST status/shutdown: what plays a container's inside always
// minds init's signal, so that both take the same.
func (s *Server) stopContainer(q *call) (any, error) { return s.endContainer(q, "vzstop") }

func (s *Server) shutdownContainer(q *call) (any, error) { return s.endContainer(q, "vzshutdown") }

func (s *Server) endContainer(q *call, kind string) (any, error) {
	if err := rootOnly(q, "skiplock"); err != nil {
		return nil, err
	}
	if err := s.mustRunContainer(q); err != nil {
		return nil, err
	}
	vmid := q.vmid()
	return s.fork(q.node.name, kind, strconv.Itoa(vmid), q.token, func(ctx context.Context, w *worker) error {
		return underLock(ctx, w, vmid, func() (*container, *apiError) { return s.unlockedContainer(w.node.name, vmid) }, func(ct *container) error {
			if err := pause(ctx, s.opts.Timing.Stop); err != nil {
				return err
			}
			s.lock()
			defer s.mu.Unlock()
			ct.powerOff()
			return nil
		})
	}), nil
}

// destroyContainer is DELETE /nodes/{node}/lxc/{vmid} (pve-container API2/LXC.pm, destroy_vm).
func (s *Server) destroyContainer(q *call) (any, error) {
	vmid, purge, force := q.vmid(), q.params.yes("purge"), q.params.yes("force")
	s.lock()
	_, err := s.destroyableContainer(q.node.name, vmid, purge, force)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.fork(q.node.name, "vzdestroy", strconv.Itoa(vmid), q.token, func(ctx context.Context, w *worker) error {
		return underLock(ctx, w, vmid, func() (*container, *apiError) {
			ct, err := s.destroyableContainer(w.node.name, vmid, purge, force)
			if err == nil {
				err = ct.checkLock()
			}
			return ct, err
		}, func(ct *container) error {
			if err := pause(ctx, s.opts.Timing.Destroy); err != nil {
				return err
			}
			if purge {
				w.say(fmt.Sprintf("purging CT %d from related configurations..", vmid))
			}
			s.lock()
			ct.powerOff()
			s.freeContainer(ct, ct.conf)
			s.mu.Unlock()
			return ct.archive.remove()
		})
	}), nil
}

// destroyableContainer is what is checked before the lock and again with it.
func (s *Server) destroyableContainer(node string, vmid int, purge, force bool) (*container, *apiError) {
	ct, err := s.containerOn(node, vmid)
	switch {
	case err != nil:
		return nil, err
	case ct.conf["protection"] == "1":
		return nil, failf("can't remove CT %d - protection mode enabled", vmid)
	case ct.ha && !purge:
		return nil, failf("unable to remove CT %d - used in HA resources and purge parameter not set.", vmid)
	case ct.running && !force:
		return nil, failf("unable to destroy CT %d - container is running", vmid)
	}
	return ct, nil
}
