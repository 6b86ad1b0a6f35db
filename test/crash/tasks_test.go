//go:build crash

package crash

import (
	"strings"
	"testing"
	"time"
)

// taskWindow is a task of Proxmox's that is at work when the dispatcher dies, and still is when it comes back.
type taskWindow struct {
	task, at string // its type, and the point of its life at which the stand-in holds it
	idle     bool   // see change.idle
	most     int    // how many VMs there may be at once
}

// taskFault is the body of POST /_sim/faults for a worker.
type taskFault struct {
	Match struct {
		Task string `json:"task"`
		At   string `json:"at"`
	} `json:"match"`
	Fault string `json:"fault"`
}

// TestKilledWhileATaskIsAtWork is about what the windows leave out: the call was made and answered, and what it began
// goes on without the dispatcher and beyond its restart.
func TestKilledWhileATaskIsAtWork(t *testing.T) {
	t.Parallel()
	windows := []taskWindow{
		{"qmclone", "copy", false, one},   // the VM is locked, and its configuration not yet whole
		{"qmclone", "copied", false, one}, // it is whole, and still locked
		{"qmclone", "pool", false, one},   // it is unlocked, but not in the resource pool: the token can't see it
		{"qmstart", "locked", false, one},
		{"qmstop", "locked", true, one},
		{"qmdestroy", "locked", false, one},
		// What is left of a VM here has neither disks nor our marker: only the task says that it is still there.
		{"qmdestroy", "copied", false, one}, // its configuration is "lock: destroyed" and no more
		{"qmdestroy", "pool", false, one},   // it is no longer in the resource pool: the token can't see it
	}
	table := recoveries{places: len(windows)}
	t.Run("tasks", func(t *testing.T) {
		for place, w := range windows {
			t.Run(w.task+"-"+w.at, func(t *testing.T) {
				t.Parallel()
				table.add(place, w.killed(t))
			})
		}
	})
	t.Logf("how long each took to come right, from the restart on:\n%s", table.text())
}

func (w taskWindow) killed(t *testing.T) recovery {
	s := newStandIns(t, uint64(time.Now().UnixNano()))
	config := ""
	if w.idle {
		config = idleConfig(t, s.gh.Repository)
	}
	d := newDispatcher(t, s, config)
	f := taskFault{Fault: "hold"}
	f.Match.Task, f.Match.At = w.task, w.at
	held := s.pveDoor().arm(f)
	cancelled := d.begin(w.idle)
	d.until("a "+w.task+" is at "+w.at, func(moment) bool { return s.pveDoor().fired(held) })
	d.kill()
	killed := s.now()
	rec := d.recover(killed, cancelled, w.most, func() {
		again := time.Now()
		d.until("it has looked at Proxmox again", func(m moment) bool { return m.looksSince(again) >= enoughLooks })
		s.pveDoor().remove(held)
	})
	rec.call = w.task + " at " + w.at
	return rec
}

// enoughLooks is how often the dispatcher looks at Proxmox before the task goes on: once to find it, once to act on it.
const enoughLooks = 3

// looksSince counts the dispatcher's looks at all there is.
func (m moment) looksSince(t time.Time) int {
	n := 0
	for _, r := range m.pve.Requests {
		if strings.Contains(r.Path, "/cluster/resources") && r.At.After(t) {
			n++
		}
	}
	return n
}
