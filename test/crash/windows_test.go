//go:build crash

package crash

import (
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// change is a call of the dispatcher that changes something, and how the stand-ins' records tell whether it did.
type change struct {
	name         string
	github       bool // it goes to GitHub, not to Proxmox
	method, path string
	nth          int // of the calls to that path; 0 is the first
	// idle is the story of a runner whose job is cancelled when it has its identity: it waits for another job, and is
	// taken down when its time is over. Without it two jobs are served one after the other.
	idle bool
	iso  bool // by the iso hand-off; else the agent's
	late bool // of the calls to that path those count that come when the identity is minted
	// effect reports whether it took effect, ready what has to be so before the call is made at all.
	effect, ready func(moment) bool
}

// changes are all that a dispatcher makes in a runner's life, in the order of that life.
func changes() []change {
	task := func(kind string) func(moment) bool {
		return func(m moment) bool { return len(m.tasks(kind)) > 0 }
	}
	minted := func(m moment) bool { return len(m.gh.Runners) == 1 }
	const vm = "/nodes/*/qemu/*"
	return []change{
		{name: "clone", method: http.MethodPost, path: vm + "/clone", effect: task("qmclone")},
		{name: "config", method: http.MethodPut, path: vm + "/config", ready: task("qmclone"), effect: func(m moment) bool {
			return m.ours()[0].Config["reboot"] == "0" // what every runner gets, and the template hasn't
		}},
		{name: "start", method: http.MethodPost, path: vm + "/status/start", ready: task("qmclone"), effect: task("qmstart")},
		{
			name: "mint", github: true, method: http.MethodPost, path: "/repos/*/*/actions/runners/generate-jitconfig",
			ready: task("qmstart"), effect: minted,
		},
		// The executions before ask whether the guest is ready; the first one after the minting delivers its identity.
		{name: "exec", method: http.MethodPost, path: vm + "/agent/exec", late: true, ready: minted, effect: func(m moment) bool {
			return minted(m) && !m.gh.Runners[0].FirstSeen.IsZero()
		}},
		{
			name: "deregister", github: true, method: http.MethodDelete, path: "/repos/*/*/actions/runners/*", idle: true,
			ready: minted, effect: func(m moment) bool { return minted(m) && len(m.registered()) == 0 },
		},
		{name: "stop", method: http.MethodPost, path: vm + "/status/stop", idle: true, ready: minted, effect: task("qmstop")},
		{name: "delete", method: http.MethodDelete, path: vm, ready: minted, effect: task("qmdestroy")},
		{name: "upload", iso: true, method: http.MethodPost, path: "/nodes/*/storage/*/upload", ready: minted, effect: task("imgcopy")},
		// Of the changes of a config the first is the runner's shape, the second puts the image into its drive.
		{name: "eject", iso: true, method: http.MethodPut, path: vm + "/config", nth: 3, ready: minted, effect: func(m moment) bool {
			return m.ours()[0].Config["ide2"] == "none,media=cdrom"
		}},
		{name: "delete image", iso: true, method: http.MethodDelete, path: "/nodes/*/storage/*/content/**", ready: minted, effect: task("imgdel")},
	}
}

// Faults at a stand-in's door. A call that is held "before" is dropped without effect in the end, long after whoever
// made it was killed; one that is held "after" has taken effect and is let go after the kill.
const (
	holdAfter  = "hold_after"
	dropBefore = "reset_before"
	dropDelay  = 20 * time.Second
)

// fault is the body of POST /_sim/faults: both stand-ins take it.
type fault struct {
	Match   match  `json:"match"`
	Fault   string `json:"fault"`
	DelayMS int64  `json:"delay_ms,omitempty"`
}

type match struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Nth    int    `json:"nth,omitempty"`
}

// jobLength is how long a job of a window lasts.
const jobLength = 2 * time.Second

// one is how many VMs there may be at once with MAX_TOTAL_RUNNERS unset.
const one = 1

// TestKilledInEveryWindow kills the dispatcher before and after each of its changes.
func TestKilledInEveryWindow(t *testing.T) {
	t.Parallel()
	table := recoveries{places: 2 * len(changes())}
	t.Run("windows", func(t *testing.T) {
		for i, c := range changes() {
			for j, when := range []string{"before", "after"} {
				t.Run(strings.ReplaceAll(c.name, " ", "_")+"-"+when, func(t *testing.T) {
					t.Parallel()
					table.add(2*i+j, c.killed(t, when == "after"))
				})
			}
		}
	})
	t.Logf("how long each window took to come right, from the restart on:\n%s", table.text())
}

// killed is one window: the story up to the call, the kill, the restart, and all that must be so afterwards.
func (c change) killed(t *testing.T, after bool) recovery {
	var flags, set []string
	if c.iso {
		flags, set = []string{"--uploads", "--cloud-init-drive", "--template-agent-off"}, []string{"RUNNER_HANDOFF=iso"}
	}
	s := newStandIns(t, uint64(time.Now().UnixNano()), flags...)
	config := ""
	if c.idle {
		config = idleConfig(t, s.gh.Repository)
	}
	d := newDispatcher(t, s, config, set...)
	at := s.pveDoor()
	if c.github {
		at = s.ghDoor()
	}
	f := fault{Match: match{c.method, c.path, c.nth}, Fault: holdAfter}
	if !after {
		f.Fault, f.DelayMS = dropBefore, dropDelay.Milliseconds()
	}
	var held int64
	var cancelled []int64
	if c.late {
		minting := s.ghDoor().arm(mintHeld())
		cancelled = d.begin(c.idle)
		d.until("an identity is minted", func(m moment) bool { return len(m.registered()) == 1 })
		held = at.arm(f)
		s.ghDoor().remove(minting)
	} else {
		held = at.arm(f)
		cancelled = d.begin(c.idle)
	}
	d.until("the call "+c.method+" "+c.path+" is made", func(moment) bool { return at.fired(held) })
	if after {
		d.until("it takes effect", c.effect)
	}
	d.kill()
	killed := s.now()
	d.last = killed
	if c.ready != nil && !c.ready(killed) {
		t.Fatalf("the call was made at another time than this test thinks; runners %+v", killed.gh.Runners)
	}
	if !after && c.effect(killed) {
		t.Fatal("the call took effect: this is not the window before it")
	}
	if after {
		at.remove(held)
	}
	rec := d.recover(killed, cancelled, one, func() {})
	if left := s.images(); len(left) > 0 {
		t.Errorf("images are left: %q", left)
	}
	rec.call = c.method + " " + c.path
	return rec
}

// begin starts the dispatcher with work to do: two jobs, or a job that is cancelled when its runner has an identity. It
// returns the jobs that it cancelled.
func (d *dispatcher) begin(idle bool) []int64 {
	d.t.Helper()
	if idle {
		return d.idleRunner()
	}
	d.queue(2, jobLength)
	d.start()
	return nil
}

// recover starts the dispatcher again and waits until all has come right, and checks that it has. Where the story was
// the idle runner's, which left no work, another job is queued when that runner is gone. most is how many VMs there may
// be at once; restarted is called at once after the start.
func (d *dispatcher) recover(killed moment, cancelled []int64, most int, restarted func()) recovery {
	d.t.Helper()
	began := time.Now()
	d.start()
	restarted()
	_, name, _ := strings.Cut(d.t.Name(), "/")
	rec := recovery{window: path.Base(name)}
	d.until("what the kill left is gone", func(m moment) bool { return gone(killed, m) })
	rec.runnerGone = time.Since(began)
	if len(cancelled) > 0 {
		d.queue(1, jobLength)
	}
	end, over := d.untilOver()
	rec.over, rec.vms = over.Sub(began), len(end.ours())
	d.check(end, cancelled, most)
	d.run.Terminate(d.t)
	return rec
}

// mintHeld keeps the reply to the minting of an identity back.
func mintHeld() fault {
	return fault{Match: match{Method: http.MethodPost, Path: "/repos/*/*/actions/runners/generate-jitconfig"}, Fault: holdAfter}
}

// idleRunner makes a runner whose job was cancelled after its identity was minted, and returns the job.
func (d *dispatcher) idleRunner() []int64 {
	d.t.Helper()
	minting := d.ghDoor().arm(mintHeld())
	d.queue(1, jobLength)
	d.start()
	m := d.until("an identity is minted", func(m moment) bool { return len(m.registered()) == 1 })
	job := m.gh.Jobs[0]
	d.cancel(job)
	d.until("the job is cancelled", func(m moment) bool { return m.gh.Jobs[0].Status == "completed" })
	d.ghDoor().remove(minting)
	return []int64{job.ID}
}

// idleConfig is a file that takes idle runners down soon: no variable says how long they may wait.
func idleConfig(t *testing.T, repository string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mayfly.yaml")
	text := fmt.Sprintf("pools:\n  - name: idle\n    target: %s\n    labels: [energyplus, linux, x64, ubuntu-22.04]\n    idle_timeout: 10s\n", repository)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// gone reports whether none of the VMs and registrations that there were at the kill is there any more.
func gone(killed, m moment) bool {
	for i, v := range killed.ours() { // in the order of creation, so the same ones are first now
		if v.DestroyedAt == nil && m.ours()[i].DestroyedAt == nil {
			return false
		}
	}
	for _, was := range killed.registered() {
		for _, is := range m.registered() {
			if was.ID == is.ID {
				return false
			}
		}
	}
	return true
}

// recovery is what one window took.
type recovery struct {
	window, call string
	// runnerGone is when what the kill left was gone, over when every job was done and nothing left: a job of 2 s,
	// the guest's boot and its 20 s before power-off are in it, once or twice.
	runnerGone, over time.Duration
	vms              int
}

// recoveries collects the windows, in their own order.
type recoveries struct {
	mu     sync.Mutex
	places int // how many there may be
	all    map[int]recovery
}

func (r *recoveries) add(place int, rec recovery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[int]recovery{}
	}
	r.all[place] = rec
}

func (r *recoveries) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	b.WriteString(row("window", "call", "runner gone", "all over", "VMs"))
	for place := range r.places {
		if rec, came := r.all[place]; came {
			b.WriteString(row(rec.window, rec.call, seconds(rec.runnerGone), seconds(rec.over), strconv.Itoa(rec.vms)))
		}
	}
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
