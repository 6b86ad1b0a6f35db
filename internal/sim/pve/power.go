package pve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// rootOnly refuses parameters that are root@pam's own: no token is root@pam (API2/Qemu.pm).
func rootOnly(q *call, names ...string) *apiError {
	for _, k := range names {
		if v := q.params.str(k); v != "" && v != "0" { // what Perl takes for true
			return badParam(k, "Only root may use this option.")
		}
	}
	return nil
}

// startVM is POST status/start. Everything is the worker's to find out, even that there is no such VM.
func (s *Server) startVM(q *call) (any, error) {
	if err := rootOnly(q, "stateuri", "skiplock", "migratedfrom", "migration_type", "migration_network", "targetstorage", "force-cpu",
		"with-conntrack-state", "nets-host-mtu"); err != nil {
		return nil, err
	}
	return s.forkStart(q.node.name, q.vmid(), q.token), nil
}

// forkStart begins a qmstart task.
func (s *Server) forkStart(nodeName string, vmid int, auth *token) string {
	return s.fork(nodeName, "qmstart", strconv.Itoa(vmid), auth, func(ctx context.Context, w *worker) error {
		resume := false
		return underLock(ctx, w, vmid, func() (*vm, *apiError) {
			v, err := s.startable(w, vmid)
			resume = err == nil && v.running
			return v, err
		}, func(v *vm) error {
			if resume {
				return nil
			}
			return s.powerOn(ctx, w, v)
		})
	})
}

// startable finds the VM and refuses what can't be started (QemuServer.pm, vm_start). A running VM that is being
// backed up is "resumed": that is no error.
func (s *Server) startable(w *worker, vmid int) (*vm, *apiError) {
	v, err := s.vmOn(w.node.name, vmid)
	switch {
	case err != nil:
		return nil, err
	case v.template():
		return nil, failf("you can't start a vm if it's a template")
	case v.running && v.conf["lock"] == "backup":
		return v, nil
	case v.conf["lock"] != "" && v.conf["lock"] != "suspended":
		return nil, v.checkLock()
	case v.running:
		return nil, failf("VM %d already running", vmid)
	}
	s.applyPending(v)
	if v.conf["lock"] == "suspended" {
		s.logLocked(w, "Resuming suspended VM")
		delete(v.conf, "lock")
		delete(v.conf, "vmstate")
	}
	return v, s.checkDevices(w, v)
}

// checkDevices looks for what the machine is to be made of, in the order in which Proxmox trips over it.
func (s *Server) checkDevices(w *worker, v *vm) *apiError {
	v.cloudInit = nil
	if v.cloudInitDrive() {
		ci, err := s.generateCloudInit(v)
		if err != nil {
			return err
		}
		v.cloudInit = ci
		s.logLocked(w, "generating cloud-init ISO")
	}
	for _, opt := range slices.Sorted(maps.Keys(v.conf)) {
		if d := parseDrive(opt, v.conf[opt]); isDrive(opt) && d.storage() != "" && s.volumes[s.key(v.node, d.file)] == nil {
			return failf("volume '%s' does not exist", d.file)
		}
	}
	for _, opt := range slices.Sorted(maps.Keys(v.conf)) {
		if !isNumbered(opt, "net") {
			continue
		}
		if br := propFields(opt, v.conf[opt])["bridge"]; br != "" && br != bridge {
			return failf("bridge '%s' does not exist", br)
		}
	}
	if v.memory() > nodeMemory {
		s.logLocked(w, "kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory")
		return failf("start failed: QEMU exited with code 1")
	}
	return nil
}

// isCloudinit reports whether a drive option's value is a cloud-init drive.
func isCloudinit(value string) bool {
	file, _, _ := strings.Cut(value, ",")
	return drive{file: strings.TrimPrefix(file, "file=")}.cloudinit() && strings.Contains(file, ":")
}

// nodeMemory is the memory of each node.
const nodeMemory = 256 * runner.GiB

// powerOn boots the machine; the caller holds its lock file.
func (s *Server) powerOn(ctx context.Context, w *worker, v *vm) error {
	if err := pause(ctx, s.opts.Timing.Start); err != nil {
		return err
	}
	s.lock()
	m, boot := s.machine(v)
	agent := v.agentEnabled() // the device is there from the start on or not at all
	s.mu.Unlock()
	if err := s.opts.Engine.Start(ctx, m); err != nil {
		return err
	}
	s.noteStart(w, v, boot, agent)
	return w.point(ctx, pointDone)
}

// noteStart notes that the engine started a machine.
func (s *Server) noteStart(w *worker, v *vm, boot uint64, agent bool) {
	s.lock()
	defer s.mu.Unlock()
	now := time.Now()
	w.node.pids += 3 + int(s.random()%7)
	v.running, v.suspended, v.halted, v.startedAt, v.pid, v.agent, v.gone = true, false, "", now, w.node.pids, agent, make(chan struct{})
	v.record.StartedAt = append(v.record.StartedAt, now)
	s.report(ChangeStarted, v, "")
	if v.exited == boot { // it was off again before it was up
		s.powerOff(v)
	}
}

// machine is the VM for the engine, and which of its starts this is.
func (s *Server) machine(v *vm) (Machine, uint64) {
	v.starts++
	boot := v.starts
	return Machine{
		VMID: v.id, Template: v.source, Image: v.image, Name: v.name(), Config: maps.Clone(v.conf), Cores: v.cores(), Memory: v.memory(),
		MAC: v.mac(), CloudInit: v.cloudInit, Media: s.media(v), Exited: func() { s.machineExited(v, boot) },
	}, boot
}

// machineExited hears from the engine that a machine powered off by itself.
func (s *Server) machineExited(v *vm, boot uint64) {
	s.lock()
	defer s.mu.Unlock()
	v.exited = max(v.exited, boot)
	if v.running && v.starts == boot {
		s.powerOff(v)
	}
}

// powerOff notes that the machine is gone.
func (s *Server) powerOff(v *vm) {
	v.running, v.suspended, v.halted, v.pid, v.agent = false, false, "", 0, false
	v.record.StoppedAt = append(v.record.StoppedAt, time.Now())
	s.report(ChangeStopped, v, "")
	if v.gone != nil {
		close(v.gone)
		v.gone = nil
	}
}

// stopVM is POST status/stop.
func (s *Server) stopVM(q *call) (any, error) {
	if err := rootOnly(q, "skiplock", "keepActive", "migratedfrom"); err != nil {
		return nil, err
	}
	vmid, overrule := q.vmid(), q.params.yes("overrule-shutdown")
	return s.fork(q.node.name, "qmstop", strconv.Itoa(vmid), q.token, func(ctx context.Context, w *worker) error {
		if overrule {
			if err := s.abortShutdowns(ctx, w, vmid); err != nil {
				return err
			}
		}
		return underLock(ctx, w, vmid, s.stoppable(w, vmid), func(v *vm) error {
			if v == nil {
				return nil
			}
			return s.cutPower(ctx, v)
		})
	}), nil
}

// stoppable finds a running VM that isn't locked; nil, nil when it is off already, whatever its lock.
func (s *Server) stoppable(w *worker, vmid int) func() (*vm, *apiError) {
	return func() (*vm, *apiError) {
		v := s.vms[vmid]
		switch {
		case v == nil || v.node != w.node.name:
			return nil, noConfig(vmid, w.node.name)
		case !v.running:
			return nil, nil
		}
		if err := v.checkLock(); err != nil {
			return nil, err
		}
		return v, nil
	}
}

// cutPower stops the machine; the caller holds its lock file.
func (s *Server) cutPower(ctx context.Context, v *vm) error {
	if err := pause(ctx, s.opts.Timing.Stop); err != nil {
		return err
	}
	if err := s.opts.Engine.Stop(ctx, v.id); err != nil {
		return err
	}
	s.lock()
	defer s.mu.Unlock()
	if v.running {
		s.powerOff(v)
	}
	return nil
}

// abortShutdowns ends the qmshutdown tasks that hold the VM's lock, as far as the token may.
func (s *Server) abortShutdowns(ctx context.Context, w *worker, vmid int) error {
	s.lock()
	var waits []*task
	var upids []string
	all := s.may(w.auth, "/nodes/"+w.node.name, "Sys.Modify")
	for _, t := range s.tasks {
		if t.running() && t.kind == "qmshutdown" && t.id == strconv.Itoa(vmid) && t.node == w.node.name && (all || t.token.id == w.auth.id) {
			waits, upids = append(waits, t), append(upids, t.upid)
		}
	}
	s.mu.Unlock()
	for _, t := range waits {
		t.cancel()
		select {
		case <-t.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if len(upids) > 0 {
		w.say("overruled qmshutdown tasks: " + strings.Join(upids, ", "))
	}
	return nil
}

// resetVM is POST status/reset: the power button of a PC, held.
func (s *Server) resetVM(q *call) (any, error) {
	if err := rootOnly(q, "skiplock"); err != nil {
		return nil, err
	}
	if err := s.mustRun(q); err != nil {
		return nil, err
	}
	vmid := q.vmid()
	return s.fork(q.node.name, "qmreset", strconv.Itoa(vmid), q.token, func(ctx context.Context, w *worker) error {
		return underLock(ctx, w, vmid, s.stoppable(w, vmid), func(v *vm) error {
			if v == nil {
				return failf("VM %d not running", vmid)
			}
			return s.reset(ctx, v)
		})
	}), nil
}

// reset starts the machine anew; the caller holds its lock file.
func (s *Server) reset(ctx context.Context, v *vm) error {
	if err := s.opts.Engine.Stop(ctx, v.id); err != nil {
		return err
	}
	s.lock()
	m, _ := s.machine(v)
	s.mu.Unlock()
	if err := s.opts.Engine.Start(ctx, m); err != nil {
		s.lock()
		s.powerOff(v)
		s.mu.Unlock()
		return fmt.Errorf("reset VM %d: %w", v.id, err)
	}
	return nil
}

// mustRun refuses what only makes sense on a running VM.
func (s *Server) mustRun(q *call) *apiError {
	s.lock()
	defer s.mu.Unlock()
	v := s.vms[q.vmid()]
	switch {
	case v == nil || v.node != q.node.name:
		return noConfig(q.vmid(), q.node.name)
	case !v.running:
		return failf("VM %d not running", v.id)
	}
	return nil
}
