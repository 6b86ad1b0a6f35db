package fleet_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// change has the controller follow another spec, by a reload or by a restart.
func (b *bench) change(restart bool, change func(*fleet.Spec)) {
	b.t.Helper()
	if !restart {
		b.reload(change)
		return
	}
	b.halt()
	b.spec.Pools = append([]runner.Pool(nil), b.spec.Pools...)
	change(&b.spec)
	b.start("")
}

// ran is the VM that the job ran on.
func (b *bench) ran(j gh.JobState) pve.VMState {
	b.t.Helper()
	for _, v := range b.pve.VMs() {
		if v.Name == j.RunnerName && v.Decoy == "" && !v.Template {
			return v
		}
	}
	b.t.Fatalf("job %+v ran on none of our VMs", j)
	return pve.VMState{}
}

// ofJob is the job of that id.
func (b *bench) ofJob(id int64) gh.JobState {
	for _, j := range b.gh.Jobs() {
		if j.ID == id {
			return j
		}
	}
	b.t.Fatalf("no job %d", id)
	return gh.JobState{}
}

// TestAJobNeverGetsAVMOfAnEarlierShape: whatever shapes a VM is changed, by a reload or a restart, and the next job runs
// on one that was made after it, while the job before it keeps its VM.
func TestAJobNeverGetsAVMOfAnEarlierShape(t *testing.T) {
	for _, tc := range []struct {
		name    string
		change  func(*fleet.Spec)
		shows   string // in the VM's config
		idle    bool   // it makes misfits of idle runners alone
		through bool   // by reload and restart, of spares and of idle runners
	}{
		{name: "cores", change: func(s *fleet.Spec) { s.Pools[0].Cores = 3 }, shows: "cores:3"},
		{name: "memory", change: func(s *fleet.Spec) { s.Pools[0].Memory = 6 * runner.GiB }, shows: "memory:6144", through: true},
		{name: "disk", change: func(s *fleet.Spec) { s.Pools[0].Disk = 64 * runner.GiB }, shows: "size=64G"},
		{name: "full_clone", change: func(s *fleet.Spec) { s.Pools[0].FullClone = true }},
		{name: "runner_user", change: func(s *fleet.Spec) { s.Pools[0].RunnerUser = "" }},
		{name: "template", change: func(s *fleet.Spec) { s.Pools[0].Template = anotherTemplate }},
		{name: "jobs", change: func(s *fleet.Spec) { s.Pools[0].Jobs.DenyForks = true }},
		{name: "a label more", change: func(s *fleet.Spec) { s.Pools[0].Labels = []string{"energyplus", "linux", "old", "new"} }, idle: true},
		{name: "a label less", change: func(s *fleet.Spec) { s.Pools[0].Labels = []string{"energyplus", "linux"} }, idle: true},
	} {
		for _, way := range []struct{ restart, spares bool }{{false, true}, {true, false}, {false, false}, {true, true}} {
			if tc.idle && way.spares || !tc.idle && !tc.through && way.restart == way.spares {
				continue
			}
			idle, spares, words := 2, 0, "idle runners"
			if way.spares {
				idle, spares, words = 0, 2, "spares"
			}
			t.Run(fmt.Sprintf("%s of %s, restart=%t", tc.name, words, way.restart), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBench(t, func(s *setup) {
						warm(idle, spares)(s)
						s.spec.Pools[0].Labels = []string{"energyplus", "linux", "old"}
					})
					b.admin().template(proxmox.CloneOptions{NewID: 9150, Name: anotherTemplate})
					before := b.queue(1, 15*time.Minute)[0]
					b.started()
					b.until(10*time.Minute, "warm beside the job", b.warmBeside(idle, spares))
					changed := time.Now()
					b.change(way.restart, tc.change)
					if idle > 0 { // GitHub may give them a job until they are deregistered
						time.Sleep(30 * time.Second)
					}
					next := b.queue(1, 5*time.Minute)[0]
					b.until(10*time.Minute, "the next job runs", func() bool { return !b.ofJob(next).StartedAt.IsZero() })
					v := b.ran(b.ofJob(next))
					if v.CreatedAt.Before(changed) || !strings.Contains(fmt.Sprint(v.Config), tc.shows) {
						t.Errorf("the next job ran on VM %d, made %s after the change, with %v", v.VMID, v.CreatedAt.Sub(changed), v.Config)
					}
					if j := b.ofJob(before); j.Status != "in_progress" {
						t.Errorf("the job of before: %+v", j)
					}
					b.until(20*time.Minute, "warm again", b.warmBeside(idle, spares))
					b.drained(time.Hour)
				})
			})
		}
	}
}

func (b *bench) warmBeside(idle, spares int) func() bool {
	return func() bool { w := b.now(); return w.Idle == idle && w.Spares == spares && b.able() == idle+spares }
}

const anotherTemplate = "another-template"

// TestMisfitsGoFewAtATime: a change of a pool with many spares takes no more of them a minute than any other reading
// may, none gets a job, and those that come up in their stead serve.
func TestMisfitsGoFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			warm(0, 12)(s)
			s.spec.Pools[0].Max, s.spec.MaxRunners = 16, 16
		})
		b.until(10*time.Minute, "warm", b.isWarm(0, 12))
		changed := time.Now()
		b.reload(func(s *fleet.Spec) { s.Pools[0].Memory = 6 * runner.GiB })
		jobs := b.queue(4, 2*time.Minute)
		time.Sleep(50 * time.Second)
		if gone := 12 - b.madeBefore(changed); gone < 1 || gone > 5 {
			t.Errorf("%d of 12 misfits went within a minute, want up to 5", gone)
		}
		b.until(20*time.Minute, "the jobs are done", b.done)
		for _, id := range jobs {
			if v := b.ran(b.ofJob(id)); v.CreatedAt.Before(changed) {
				t.Errorf("job %d ran on VM %d of the earlier shape", id, v.VMID)
			}
		}
		b.until(20*time.Minute, "warm again", b.isWarm(0, 12))
		if n := b.madeBefore(changed); n != 0 {
			t.Errorf("%d misfits stay", n)
		}
		b.drained(time.Hour)
	})
}

// madeBefore counts those of our VMs that are there and were made before.
func (b *bench) madeBefore(at time.Time) int {
	n := 0
	for _, v := range b.runners() {
		if v.CreatedAt.Before(at) {
			n++
		}
	}
	return n
}

// TestChangesDontSpendAJobsRetries: runners that go because their pool was changed came to nothing for no fault of the
// job that they were made for.
func TestChangesDontSpendAJobsRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.guests.Boot = 40 * time.Second })
		b.queue(1, time.Minute)
		for i := range 7 {
			b.until(5*time.Minute, "a guest boots", func() bool {
				return slices.ContainsFunc(b.controller.Status().Runners, func(r fleet.RunnerStatus) bool { return r.State == runner.Booting })
			})
			b.reload(func(s *fleet.Spec) { s.Pools[0].Memory = runner.Bytes(6+i) * runner.GiB })
			time.Sleep(15 * time.Second) // so that no bound on sweeps counts
		}
		if took := b.started(); took > 10*time.Minute {
			t.Errorf("the job waited %s", took)
		}
		b.served(time.Hour)
		b.succeeded()
		if strings.Contains(b.log.String(), "retries spent") {
			t.Error("its retries were spent")
		}
	})
}

// TestCloneOfBeforeARestartThatChangedItsPool: it is found by its task, and its notes tell when it is complete.
func TestCloneOfBeforeARestartThatChangedItsPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.Pools[0].FullClone = true })
		b.admin().template(proxmox.CloneOptions{NewID: 9150, Name: anotherTemplate})
		b.queue(1, time.Minute)
		b.until(time.Minute, "a clone runs", func() bool { return len(b.controller.Status().Runners) == 1 })
		b.change(true, func(s *fleet.Spec) { s.Pools[0].Template = anotherTemplate })
		b.served(time.Hour)
		b.succeeded()
		if v := b.ran(b.gh.Jobs()[0]); v.Source != 9150 {
			t.Errorf("the job ran on VM %d, cloned from %d", v.VMID, v.Source)
		}
		b.made(1, 1) // the other one was never started
	})
}
