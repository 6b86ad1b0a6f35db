package pve

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// shutdownVM is POST status/shutdown: the power button, and a wait for the guest, with the VM's lock file held.
func (s *Server) shutdownVM(q *call) (any, error) {
	if err := rootOnly(q, "skiplock", "keepActive"); err != nil {
		return nil, err
	}
	vmid, force, patience := q.vmid(), q.params.yes("forceStop"), s.patience(q)
	paused := s.paused(vmid)
	if paused && !force {
		return nil, failf("VM is paused - cannot shutdown")
	}
	return s.fork(q.node.name, "qmshutdown", strconv.Itoa(vmid), q.token, func(ctx context.Context, w *worker) error {
		return underLock(ctx, w, vmid, s.stoppable(w, vmid), func(v *vm) error {
			switch {
			case v == nil:
				return nil
			case paused: // the button would be heard only after a resume
				return s.cutPower(ctx, v)
			}
			return s.shutDown(ctx, w, v, patience, force)
		})
	}), nil
}

// paused reports whether the VM runs and is paused.
func (s *Server) paused(vmid int) bool {
	s.lock()
	defer s.mu.Unlock()
	v := s.vms[vmid]
	return v != nil && v.running && (v.suspended || v.halted != "")
}

// patience is the timeout parameter; without one, what the VM's start-up order says of its shutdown, or a minute.
func (s *Server) patience(q *call) time.Duration {
	if q.params.has("timeout") {
		return time.Duration(q.params.num("timeout", 0)) * time.Second
	}
	s.lock()
	defer s.mu.Unlock()
	if v := s.vms[q.vmid()]; v != nil {
		for part := range strings.SplitSeq(v.conf["startup"], ",") {
			if down, ok := strings.CutPrefix(part, "down="); ok {
				if n, err := strconv.Atoi(down); err == nil && n > 0 {
					return time.Duration(n) * time.Second
				}
			}
		}
	}
	return s.opts.Timing.ShutdownTimeout
}

// shutDown presses the button and waits; the caller holds the VM's lock file.
func (s *Server) shutDown(ctx context.Context, w *worker, v *vm, patience time.Duration, force bool) error {
	s.lock()
	gone, agent := v.gone, v.agent
	s.mu.Unlock()
	if gone == nil {
		return nil // it went off by itself just now
	}
	if agent {
		if err := s.pingAgent(ctx, v.id); err != nil {
			w.say(fmt.Sprintf("QEMU Guest Agent is not running - VM %d qga command 'guest-ping' failed - got timeout", v.id))
		}
	}
	if err := s.opts.Engine.Shutdown(ctx, v.id); err != nil {
		return fmt.Errorf("VM quit/powerdown failed: %w", err)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	if !force {
		return failf("VM quit/powerdown failed - got timeout")
	}
	w.say("VM still running - terminating now with SIGTERM")
	return s.cutPower(ctx, v)
}

// rebootVM is POST status/reboot: shut down, and start again with what was pending.
func (s *Server) rebootVM(q *call) (any, error) {
	if s.paused(q.vmid()) {
		return nil, failf("VM is paused - cannot shutdown")
	}
	if err := s.mustRun(q); err != nil {
		return nil, err
	}
	vmid, patience := q.vmid(), s.patience(q)
	return s.fork(q.node.name, "qmreboot", strconv.Itoa(vmid), q.token, func(ctx context.Context, w *worker) error {
		return underLock(ctx, w, vmid, s.stoppable(w, vmid), func(v *vm) error {
			if v == nil {
				return nil
			}
			if err := s.shutDown(ctx, w, v, patience, false); err != nil {
				return err
			}
			s.lock()
			_, aerr := s.startable(w, vmid)
			s.mu.Unlock()
			if aerr != nil {
				return aerr
			}
			return s.powerOn(ctx, w, v)
		})
	}), nil
}
