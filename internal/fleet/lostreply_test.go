package fleet_test

import (
	"fmt"
	"net/http"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// change is one of the calls of the controller that change something.
type change struct {
	name, method, path string
	story              func(*bench)
	setup              func(*setup)
	nth                int // the call of the story that goes wrong
	// usual is how often the story makes the call when all goes well; 0 for questions to a guest that boots, whose
	// number doesn't matter. again is whether doing it twice is harmless by contract, so that it isn't looked up.
	usual int
	again bool
}

// The calls to Proxmox.
var (
	clones  = change{name: "clone", method: http.MethodPost, path: "/nodes/*/qemu/*/clone", story: oneJob, usual: 1}
	configs = change{name: "config", method: http.MethodPut, path: "/nodes/*/qemu/*/config", story: oneJob, usual: 1}
	starts  = change{name: "start", method: http.MethodPost, path: "/nodes/*/qemu/*/status/start", story: oneJob, usual: 1}
	stops   = change{name: "stop", method: http.MethodPost, path: "/nodes/*/qemu/*/status/stop", story: jobAfterIdleRunner, setup: patient, usual: 1}
	deletes = change{name: "delete", method: http.MethodDelete, path: "/nodes/*/qemu/*", story: oneJob, usual: 1}
	pings   = change{name: "agent exec while the guest boots", method: http.MethodPost, path: "/nodes/*/qemu/*/agent/exec", story: oneJob}
	probes  = change{name: "agent exec of the probe", method: http.MethodPost, path: "/nodes/*/qemu/*/agent/exec", story: oneJob, setup: late, usual: 2, again: true}
	// run-once.sh takes the same identity a second time for the first (docs/run-once.md).
	deliveries = change{name: "agent exec of the hand-off", method: http.MethodPost, path: "/nodes/*/qemu/*/agent/exec", story: oneJob, setup: late, nth: 2, usual: 2, again: true}
)

// oneJob has a job and its VM, which powers itself off.
func oneJob(b *bench) {
	b.queue(1, 10*time.Second)
	b.served(2 * time.Hour)
}

// jobAfterIdleRunner cancels a job when its runner is up, so that the idle runner is deregistered, stopped and
// destroyed. A job that comes afterwards is served as any other.
func jobAfterIdleRunner(b *bench) {
	first := b.queue(1, time.Minute)
	b.until(10*time.Minute, "an idle runner", func() bool {
		list := b.gh.Runners()
		return len(list) == 1 && list[0].Online
	})
	b.gh.CancelJob(first[0])
	b.until(time.Hour, "nothing left of the idle runner", b.empty)
	b.queue(1, 10*time.Second)
	b.served(2 * time.Hour)
}

// late asks a guest for the first time when it is surely up.
func late(s *setup) { s.spec.Timing.FirstProbe = 20 * time.Second }

// patient gives jobs to runners only after a while, so that a test can come between, and idle runners less time.
func patient(s *setup) {
	s.gh.AssignDelay = 40 * time.Second
	s.spec.Pools[0].IdleTimeout = 2 * time.Minute
}

// asked is how often the controller made the call.
func (b *bench) asked(method, pattern string) int {
	n := 0
	count := func(is bool, m, uri string) {
		p, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(uri, "/api2/json"), "/api/v3"), "?")
		if hit, _ := path.Match(pattern, p); is && hit && m == method {
			n++
		}
	}
	for _, r := range b.pve.Requests() {
		// Whose a request is that was answered for Proxmox isn't known; the administrator's aren't harmed here.
		count(r.Token == b.spec.Token || r.Token == "" && r.Fault != "", r.Method, r.Path)
	}
	for _, r := range b.gh.State().Requests {
		count(r.Login == "mayfly-dispatcher" || r.Login == "" && r.Fault != "", r.Method, r.Path)
	}
	return n
}

// armGitHub arms a fault of the GitHub stand-in and returns what removes it.
func (b *bench) armGitHub(f gh.FaultSpec) (remove func()) {
	b.t.Helper()
	id, err := b.gh.Fault(f)
	if err != nil {
		b.t.Fatal(err)
	}
	return func() { b.gh.ClearFaults(id) }
}

// fired demands that every fault in place has struck: a test of one that never does proves nothing.
func (b *bench) fired() {
	b.t.Helper()
	for _, f := range b.pve.Faults() {
		if f.Fired == 0 {
			b.t.Errorf("fault %+v never struck", f.FaultSpec)
		}
	}
	for _, f := range b.gh.Faults() {
		if f.Fired == 0 {
			b.t.Errorf("fault %+v never struck", f.FaultSpec)
		}
	}
}

// made demands that so many VMs were started and so many registrations made, each of a name of its own, and that each job had one
// runner.
func (b *bench) made(vms, registrations int) {
	b.t.Helper()
	n := 0
	for _, v := range b.pve.VMs() {
		if v.Decoy == "" && !v.Template && len(v.StartedAt) > 0 {
			n++
		}
	}
	if n != vms {
		b.t.Errorf("%d VMs were started, want %d", n, vms)
	}
	list := b.gh.Runners()
	if len(list) != registrations {
		b.t.Errorf("%d registrations were made, want %d", len(list), registrations)
	}
	names := map[string]bool{}
	for _, r := range list {
		if names[r.Name] {
			b.t.Errorf("two registrations were called %s", r.Name)
		}
		names[r.Name] = true
	}
}

// jobsRan demands that each job was started exactly once and ended well, but for those that the test cancelled.
func (b *bench) jobsRan() {
	b.t.Helper()
	for _, j := range b.gh.Jobs() {
		if cancelled := j.Reason == "cancelled"; !cancelled && (j.Starts != 1 || j.Conclusion != "success") || cancelled && j.Starts != 0 {
			b.t.Errorf("job %+v", j)
		}
	}
}

// TestLostRepliesAreLookedUpNotRepeated breaks each call that changes something, before and after it took effect. What
// was done isn't asked for again, what wasn't is, once.
func TestLostRepliesAreLookedUpNotRepeated(t *testing.T) {
	for _, c := range []change{clones, configs, starts, stops, deletes, pings, probes, deliveries} {
		for _, f := range []struct {
			name     string
			fault    pve.FaultSpec
			executed bool
		}{
			{"connection reset after the effect", pve.FaultSpec{Kind: "reset_after"}, true},
			{"reply cut short", pve.FaultSpec{Kind: "cut_body"}, true},
			{"596 executed", pve.FaultSpec{Kind: "answer_after", Status: 596}, true},
			{"596 not executed", pve.FaultSpec{Kind: "answer", Status: 596}, false},
			{"595", pve.FaultSpec{Kind: "answer", Status: 595}, false},
		} {
			t.Run(c.name+"/"+f.name, func(t *testing.T) {
				f.fault.Match = pve.FaultMatch{Method: c.method, Path: c.path, Nth: c.nth}
				c.survives(t, f.fault, f.executed)
			})
		}
	}
}

// TestLockTimeoutsAreTriedAgainOnce has the lock texts of Proxmox: as the answer to a config change, as the end of a task,
// and as the answer to a request whose task runs all the same (the list of active tasks was locked).
func TestLockTimeoutsAreTriedAgainOnce(t *testing.T) {
	const (
		ofTemplate = "can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout"
		ofVM       = "can't lock file '/var/lock/qemu-server/lock-201.conf' - got timeout"
		ofStorage  = "can't lock file '/var/lock/pve-manager/pve-storage-local-lvm' - got timeout"
		ofShared   = "cfs-lock 'storage-ceph' error: got lock request timeout"
		ofTasks    = "can't lock file '/var/log/pve/tasks/.active.lock' - got timeout"
	)
	inTask := func(task, at, words string) pve.FaultSpec {
		return pve.FaultSpec{Kind: "fail", Reason: words, Match: pve.FaultMatch{Task: task, At: at}}
	}
	atOnce := func(c change, kind, words string) pve.FaultSpec {
		return pve.FaultSpec{Kind: kind, Status: 500, Reason: words, Match: pve.FaultMatch{Method: c.method, Path: c.path}}
	}
	for _, tc := range []struct {
		name     string
		change   change
		fault    pve.FaultSpec
		executed bool
	}{
		{"config/its VM", configs, atOnce(configs, "answer", ofVM), false},
		{"clone/the template", clones, inTask("qmclone", "locked", ofTemplate), false},
		{"clone/the new VM", clones, inTask("qmclone", "locked", ofVM), false},
		{"clone/the storage", clones, inTask("qmclone", "copy", "clone failed: "+ofStorage), false},
		{"clone/a shared storage", clones, inTask("qmclone", "copy", "clone failed: "+ofShared), false},
		{"clone/the list of tasks", clones, atOnce(clones, "answer_after", ofTasks), true},
		{"start/its VM", starts, inTask("qmstart", "locked", ofVM), false},
		{"start/the list of tasks", starts, atOnce(starts, "answer_after", ofTasks), true},
		{"stop/its VM", stops, inTask("qmstop", "locked", ofVM), false},
		{"stop/the list of tasks", stops, atOnce(stops, "answer_after", ofTasks), true},
		{"delete/its VM", deletes, inTask("qmdestroy", "locked", ofVM), false},
		{"delete/the storage", deletes, inTask("qmdestroy", "locked", ofStorage), false},
		{"delete/a shared storage", deletes, inTask("qmdestroy", "locked", ofShared), false},
		{"delete/the list of tasks", deletes, atOnce(deletes, "answer_after", ofTasks), true},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.change.survives(t, tc.fault, tc.executed) })
	}
}

// survives plays the change's story with one fault and demands that it made no difference.
func (c change) survives(t *testing.T, fault pve.FaultSpec, executed bool) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, c.setup)
		b.arm(fault)
		c.story(b)
		b.fired()
		jobs := len(b.gh.Jobs())
		b.made(jobs, jobs)
		b.jobsRan()
		want := c.usual
		if c.again || !executed {
			want++
		}
		if n := b.asked(c.method, c.path); c.usual > 0 && n != want {
			t.Errorf("%s %s was asked for %d times, want %d", c.method, c.path, n, want)
		}
		if n := b.asked(clones.method, clones.path); c.path != clones.path && n != jobs {
			t.Errorf("%d clones for %d jobs: a VM was given up for it", n, jobs)
		}
	})
}

// TestLostIdentityCostsItsVMAndLeavesNoRegistration loses the reply that brought an identity. GitHub tells an identity
// once, so the VM that it was for goes with the registration, and another takes the job under another name.
func TestLostIdentityCostsItsVMAndLeavesNoRegistration(t *testing.T) {
	for kind, registrations := range map[string]int{
		"reset_after": 2, "500_after": 2, "502_after": 2, "503_after": 2, "reset_before": 1, "502": 1,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.armGitHub(gh.FaultSpec{Kind: kind, Match: gh.FaultMatch{Method: http.MethodPost, Path: "**/generate-jitconfig"}})
				oneJob(b)
				b.fired()
				b.made(2, registrations)
				b.jobsRan()
				if n := b.asked(http.MethodPost, "/repos/*/*/actions/runners/generate-jitconfig"); n != 2 {
					t.Errorf("%d identities were asked for, want 2", n)
				}
				if first := b.gh.Runners()[0]; registrations == 2 && (len(first.Jobs) != 0 || first.RemovedWhy != "removed by mayfly-dispatcher") {
					t.Errorf("the registration of the lost reply: %+v", first)
				}
			})
		})
	}
}

// TestLostIdentityIsNotMintedAgainAfterACrash loses the reply that brought an identity and the stop of its VM, and crashes
// when the registration is gone: nothing but a note in the VM then tells that it has had its one identity.
func TestLostIdentityIsNotMintedAgainAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.armGitHub(gh.FaultSpec{Kind: "500_after", Match: gh.FaultMatch{Method: http.MethodPost, Path: "**/generate-jitconfig"}})
		allow := b.arm(pve.FaultSpec{Kind: "refuse", Match: pve.FaultMatch{Method: stops.method, Path: stops.path, Count: -1}})
		b.queue(1, 10*time.Second)
		b.until(10*time.Minute, "the registration of the lost reply removed", func() bool {
			list := b.gh.Runners()
			return len(list) == 1 && !list[0].RemovedAt.IsZero()
		})
		b.fired()
		b.halt()
		allow()
		b.start("")
		b.served(2 * time.Hour)
		b.made(2, 2)
		b.jobsRan()
	})
}

// TestLostDeregistrationIsLookedUp breaks the removal of an idle runner's registration.
func TestLostDeregistrationIsLookedUp(t *testing.T) {
	for kind, want := range map[string]int{
		"reset_after": 1, "500_after": 1, "502_after": 1, "503_after": 1, "reset_before": 2, "502": 2,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, patient)
				b.armGitHub(gh.FaultSpec{Kind: kind, Match: gh.FaultMatch{Method: http.MethodDelete, Path: "**/actions/runners/*"}})
				jobAfterIdleRunner(b)
				b.fired()
				b.made(2, 2)
				b.jobsRan()
				if n := b.asked(http.MethodDelete, "/repos/*/*/actions/runners/*"); n != want {
					t.Errorf("a registration was removed %d times, want %d", n, want)
				}
			})
		})
	}
}

// TestLostRepliesOfManyJobsAtOnce loses one reply of every kind while eight runners live.
func TestLostRepliesOfManyJobsAtOnce(t *testing.T) {
	for nth := 1; nth <= 9; nth += 4 {
		t.Run(fmt.Sprintf("nth=%d", nth), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				for _, c := range []change{clones, configs, starts, deletes, pings, deliveries} {
					b.arm(pve.FaultSpec{Kind: "reset_after", Match: pve.FaultMatch{Method: c.method, Path: c.path, Nth: nth, Count: 2}})
				}
				b.queue(12, 2*time.Minute)
				b.served(4 * time.Hour)
				b.fired()
				b.made(12, 12)
				b.jobsRan()
				for _, c := range []change{clones, configs, starts, deletes} {
					if n := b.asked(c.method, c.path); n != 12 {
						t.Errorf("%s was asked for %d times for 12 jobs", c.name, n)
					}
				}
			})
		})
	}
}

// TestRunnerAtWorkIsKeptThroughARestart restarts the dispatcher while a job runs. GitHub's list of runners lacks the runner for a
// while, and what is asked of its guest comes to nothing.
func TestRunnerAtWorkIsKeptThroughARestart(t *testing.T) {
	asks := pve.FaultMatch{Method: probes.method, Path: probes.path}
	answers := pve.FaultMatch{Method: http.MethodGet, Path: "/nodes/*/qemu/*/agent/exec-status"}
	for _, tc := range []struct {
		name  string
		fault pve.FaultSpec
	}{
		{"the answer is lost", pve.FaultSpec{Kind: "answer_after", Status: 596, Match: answers}},
		{"the question is refused", pve.FaultSpec{Kind: "answer", Status: 403, Reason: "Permission check failed (/vms/201, VM.GuestAgent.Unrestricted)", Match: asks}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.queue(1, 30*time.Minute)
				b.until(10*time.Minute, "the job runs", func() bool { return count(b, "in_progress") == 1 })
				b.halt()
				b.arm(tc.fault)
				b.armGitHub(gh.FaultSpec{Kind: "empty_list", Match: gh.FaultMatch{Method: http.MethodGet, Path: runnerList, Count: 8}})
				b.start("")
				b.served(time.Hour)
				b.succeeded()
				b.made(1, 1)
				b.fired()
			})
		})
	}
}
