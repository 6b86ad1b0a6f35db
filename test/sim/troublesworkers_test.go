package sim

import (
	"time"

	"mayfly/internal/sim/pve"
)

// workerTroubles are those of Proxmox's own processes and disks.
var workerTroubles = []trouble{
	workerFault, workerFault, workerFault, workerFault, workerFault, workerFault, workerKilled, workerKilled, workerKilled, poolAdditionFails, startFailsLate, clonesRefused, daemonDown, activeLock, templateLocked, diskFull, proxmoxRefusesUs, githubRefusesUs,
}

// reasons are errors that tasks end with (facts: a full or busy storage, a base volume that is gone, a VM that another task holds,
// QEMU that doesn't come up).
var reasons = map[string][]string{
	"qmclone": {
		"can't lock file '/var/lock/pve-manager/pve-storage-local-lvm' - got timeout", "cfs-lock 'storage-ceph' error: got lock request timeout",
		"'storage-local-lvm'-locked command timed out - aborting", "volume 'local-lvm:base-9000-disk-0' does not exist",
		"can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout",
	},
	"qmstart":   {"start failed: QEMU exited with code 1", "start failed: command '/usr/bin/kvm' failed: got timeout"},
	"qmdestroy": {"can't lock file '/var/lock/qemu-server/lock-200.conf' - got timeout", "'storage-local-lvm'-locked command timed out - aborting"},
	"qmstop":    {"can't lock file '/var/lock/qemu-server/lock-200.conf' - got timeout"},
}

// workerFault makes workers of one type go wrong: an error, or a slow disk.
func workerFault(w *world, at time.Time, object string) []event {
	task := pick(w.seed, "task "+object, "qmclone", "qmstart", "qmdestroy", "qmstop")
	spec := pve.FaultSpec{
		Kind: "fail", Reason: pick(w.seed, "reason "+object, reasons[task]...),
		Match: pve.FaultMatch{Task: task, At: "start", Count: between(1, 4, w.seed, "count", object)},
	}
	name := task + " fails"
	if chance(w.seed, "slow task", object) < 0.5 {
		name, spec.Kind, spec.Reason, spec.DelayMS = task+" is slow", "delay", "", int64(between(5_000, 90_000, w.seed, "delay", object))
	}
	return w.proxmoxFault(at, object, name, spec)
}

// workerKilled ends a worker without a word: what it had done stays, and often its lock.
func workerKilled(w *world, at time.Time, object string) []event {
	task := pick(w.seed, "task "+object, "qmclone", "qmclone", "qmdestroy", "qmdestroy", "qmstart")
	point := "locked"
	if task != "qmstart" {
		point = pick(w.seed, "point "+object, "locked", "copy", "copied", "pool")
	}
	return w.simply(at, object, task+" is killed", func() {
		w.mu.Lock()
		w.killed++
		w.mu.Unlock()
		_, err := w.pve.Fault(pve.FaultSpec{Kind: "kill", Match: pve.FaultMatch{Task: task, At: point}})
		w.must(err)
	})
}

// poolAdditionFails has a clone fail in its last step, when its VM is whole and, where it was made from a template of another node,
// has moved already: that one stays behind outside the resource pool, without its disks.
func poolAdditionFails(w *world, at time.Time, object string) []event {
	return w.simply(at, object, "addition to the resource pool fails", func() {
		w.mu.Lock()
		w.killed++
		w.mu.Unlock()
		_, err := w.pve.Fault(pve.FaultSpec{
			Kind: "fail", Reason: "cfs-lock 'file-user_cfg' error: got lock request timeout", Match: pve.FaultMatch{Task: "qmclone", At: "pool"},
		})
		w.must(err)
	})
}

// startFailsLate has a start fail whose guest comes up nevertheless: QEMU was slow to answer.
func startFailsLate(w *world, at time.Time, object string) []event {
	return w.proxmoxFault(at, object, "start fails and the guest comes up", pve.FaultSpec{
		Kind: "fail", Reason: "start failed: command '/usr/bin/kvm' failed: got timeout",
		Match: pve.FaultMatch{Task: "qmstart", At: "done", Count: between(1, 3, w.seed, "count", object)},
	})
}

// clonesRefused has somebody take a privilege away, or the resource pool, for some minutes.
func clonesRefused(w *world, at time.Time, object string) []event {
	why := pick(w.seed, "privilege "+object, "Permission check failed (/vms/9000, VM.Clone)", "Permission check failed (pool 'ci' does not exist)")
	return w.refusedPaths("clones are refused", 403, why, "/nodes/*/qemu/*/clone", at, w.seconds("refused", object, 20, 600), object)
}

// activeLock has a node start a task, and answer that it couldn't.
func activeLock(w *world, at time.Time, object string) []event {
	path := pick(w.seed, "path "+object, "**/clone", "**/status/start")
	return w.proxmoxFault(at, object, "task starts and an error is told", pve.FaultSpec{
		Kind: "answer_after", Status: 500, Reason: "can't lock file '/var/log/pve/tasks/.active.lock' - got timeout",
		Match: pve.FaultMatch{Method: "POST", Path: path, Count: between(1, 3, w.seed, "count", object)},
	})
}

func (w *world) proxmoxFault(at time.Time, object, name string, spec pve.FaultSpec) []event {
	return w.simply(at, object, name, func() {
		_, err := w.pve.Fault(spec)
		w.must(err)
	})
}

// daemonDown stops pvedaemon on all nodes: pveproxy reads what it can by itself, and says 595 to all else.
func daemonDown(w *world, at time.Time, object string) []event {
	return w.refusedPaths("pvedaemon is down", 595, "Connection refused", "/nodes/*/*/**", at, w.seconds("daemon", object, 10, 300), object)
}

// refusedPaths is a spell in which all requests with such paths get one answer.
func (w *world) refusedPaths(name string, status int, why, paths string, at time.Time, lasting time.Duration, object string) []event {
	id := int64(0)
	return w.cast(spell{name, func() (err error) {
		id, err = w.pve.Fault(pve.FaultSpec{Kind: "answer", Status: status, Reason: why, Match: pve.FaultMatch{Path: paths, Count: -1}})
		return err
	}, func() error { w.pve.ClearFaults(id); return nil }, nil}, at, lasting, object)
}

// templateLocked has a template be saved by vzdump for some minutes.
func templateLocked(w *world, at time.Time, object string) []event {
	set := func(lock string) func() error {
		return func() error { return w.pve.SetLock(w.someTemplate(object), lock) }
	}
	return w.cast(spell{"template is locked", set("backup"), set(""), nil}, at, w.seconds("backup", object, 30, 900), object)
}

// diskFull has one of our VMs stop for good, because its storage is full: QEMU pauses it.
func diskFull(w *world, at time.Time, object string) []event {
	return []event{{at, "disk is full", func() {
		v := w.pick(object, func(v *machine) bool { return v.running && !v.stopped && !w.dead[v.node] })
		if v == nil || !w.plan.trouble("VM stops for a full disk", object) {
			return
		}
		w.spoil(v)
		w.trace.add("VM %d stops for a full disk", v.vmid)
		if err := w.pve.Halt(w.ctx, v.vmid, "io-error"); err != nil {
			w.trace.add("it had ended") // meanwhile
			return
		}
		w.mu.Lock()
		v.halted = true
		w.mu.Unlock()
	}}}
}

// proxmoxRefusesUs and githubRefusesUs have a side not know the dispatcher's token for some minutes.
func proxmoxRefusesUs(w *world, at time.Time, object string) []event {
	return w.refusal(toProxmox, at, object)
}

func githubRefusesUs(w *world, at time.Time, object string) []event {
	return w.refusal(toGitHub, at, object)
}

func (w *world) refusal(side string, at time.Time, object string) []event {
	return w.simply(at, object, "token refused by "+side, func() { w.outage(side, kind401, w.seconds("refused", object, 20, 600)) })
}
