package sim

import (
	"time"

	"mayfly/internal/sim/pve"
)

// pvestatdHangs has names and states of VMs in /cluster/resources stay as they are for a while, of two minutes to six: from
// the fifth on they are unknown.
func pvestatdHangs(w *world, at time.Time, object string) []event {
	return w.simply(at, object, "pvestatd hangs", func() {
		w.must(w.pve.FreezeBroadcast(w.someNode(object), w.seconds("hangs", object, 120, 360)))
	})
}

// workersTaken leaves the fleet one daemon worker of the node's three, or none.
func workersTaken(w *world, at time.Time, object string) []event {
	return w.simply(at, object, "daemon workers are taken", func() {
		w.must(w.pve.OccupyWorkers(w.someNode(object), between(2, 3, w.seed, "workers", object), w.seconds("taken", object, 10, 60)))
	})
}

// tasksRotate makes the node forget its finished tasks, five times in a minute.
func tasksRotate(w *world, at time.Time, object string) []event {
	list := w.simply(at, object, "tasks rotate", func() { w.pve.RotateTasks(w.someNode(object)) })
	for i := range 4 {
		list = append(list, event{at.Add(time.Duration(i+1) * 13 * time.Second), "tasks rotate again", func() { w.pve.RotateTasks(w.someNode(object)) }})
	}
	return list
}

// execTwice repeats a program that the guest agent starts.
func execTwice(w *world, at time.Time, object string) []event {
	return w.simply(at, object, "exec runs twice", func() {
		_, err := w.pve.Fault(pve.FaultSpec{Kind: "twice", Match: pve.FaultMatch{Method: "POST", Path: "**/agent/exec", Count: 5}})
		w.must(err)
	})
}

// removalLeaks has a removal leave its disks, and end with WARNINGS.
func removalLeaks(w *world, at time.Time, object string) []event {
	return w.simply(at, object, "removal leaves a disk", func() {
		_, err := w.pve.Fault(pve.FaultSpec{Kind: "leak", Reason: "lvremove error: Logical volume in use.", Match: pve.FaultMatch{Task: "qmdestroy"}})
		w.must(err)
	})
}

// clocksJump has the clocks of both sides, or of the nodes alone, jump by up to an hour, as all others do for a dispatcher whose
// own clock jumps.
func clocksJump(w *world, at time.Time, object string) []event {
	ahead := w.seconds("jump", object, -3600, 3600)
	return w.simply(at, object, "clocks jump", func() {
		w.pve.SetClock(ahead)
		if chance(w.seed, "both jump", object) < 0.5 {
			w.gh.SetClock(ahead)
		}
	})
}

// simply is a trouble of one moment.
func (w *world) simply(at time.Time, object, name string, do func()) []event {
	return []event{{at, name, func() {
		if w.plan.trouble(name, object) {
			w.trace.add("%s", name)
			do()
		}
	}}}
}

// seconds is a duration that the seed chooses.
func (w *world) seconds(what, object string, least, most int) time.Duration {
	return time.Duration(between(least, most, w.seed, what, object)) * time.Second
}

// clusterTroubles are those of the nodes' own services, and of clocks.
var clusterTroubles = []trouble{
	pvestatdHangs, workersTaken, tasksRotate, execTwice, removalLeaks, clocksJump,
}
