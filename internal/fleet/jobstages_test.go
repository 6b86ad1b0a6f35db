package fleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

// stage is how far a job's runner has come.
type stage struct {
	name  string
	setup func(*setup)
	// reach queues a job and brings it to the stage; leave lets what it held up go on.
	reach func(*bench) (leave func())
	// registrations is how many there were for the job when it is taken away at that stage.
	registrations int
}

// job is the state of the first job.
func (b *bench) job() gh.JobState { return b.gh.Jobs()[0] }

// stages are all that a job that hasn't started can be at, and running.
func stages() []stage {
	quick := func(s *setup) { s.spec.Pools[0].IdleTimeout = 2 * time.Minute }
	nothing := func() {}
	return []stage{
		{"queued", quick, func(b *bench) func() {
			b.lock(9000, "backup") // so that nothing can be done for it yet
			b.queue(1, time.Minute)
			b.until(5*time.Minute, "the job waits", func() bool { return b.reason() != "" })
			return func() { b.lock(9000, "") }
		}, 0},
		{"VM cloning", quick, func(b *bench) func() {
			release := b.arm(pve.FaultSpec{Kind: "hold", Match: pve.FaultMatch{Task: "qmclone", At: "copy"}})
			b.queue(1, time.Minute)
			b.until(5*time.Minute, "a clone", func() bool { return len(b.runners()) == 1 })
			return release
		}, 0},
		{"booting", func(s *setup) {
			quick(s)
			s.guests.Boot = time.Minute // so that GitHub is read again meanwhile
		}, func(b *bench) func() {
			b.queue(1, time.Minute)
			b.until(5*time.Minute, "a VM boots", func() bool { return len(b.runners()) == 1 && b.runners()[0].Status == "running" })
			return nothing
		}, 0},
		{"registered", patient, func(b *bench) func() {
			b.queue(1, time.Minute)
			b.until(5*time.Minute, "an idle runner", b.online)
			return nothing
		}, 1},
		{"assigned", firstIs(world.Ghost, quick), func(b *bench) func() { // a runner that is slow to start it
			b.queue(1, time.Minute)
			b.until(5*time.Minute, "the job is assigned", func() bool { return b.job().RunnerID != 0 })
			time.Sleep(20 * time.Second)
			return nothing
		}, 1},
		{"running", quick, func(b *bench) func() {
			b.queue(1, 5*time.Minute)
			b.until(5*time.Minute, "the job runs", func() bool { return b.job().Status == "in_progress" })
			return nothing
		}, 1},
	}
}

// TestJobCancelledAtAnyStageLeavesNothing: what was made for the job goes, with its registration if it has one by then,
// and the next job is served.
func TestJobCancelledAtAnyStageLeavesNothing(t *testing.T) {
	for _, s := range stages() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, s.setup)
				leave := s.reach(b)
				if !b.gh.CancelJob(b.job().ID) {
					t.Fatal("the job is over already")
				}
				time.Sleep(20 * time.Second) // GitHub is read again
				leave()
				b.until(30*time.Minute, "nothing left", b.empty)
				if n := len(b.gh.Runners()); n != s.registrations {
					t.Errorf("%d registrations for the cancelled job, want %d", n, s.registrations)
				}
				if s.name == "queued" && b.asked("POST", clones.path) != 0 {
					t.Error("a VM was made for a job that nobody wants any more")
				}
				b.queue(1, time.Minute)
				b.served(time.Hour)
				if j := b.job(); j.Conclusion != "cancelled" || (j.Starts == 1) != (s.name == "running") {
					t.Errorf("the cancelled job: %+v", j)
				}
				if j := b.gh.Jobs()[1]; j.Conclusion != "success" || j.Starts != 1 {
					t.Errorf("the next job: %+v", j)
				}
			})
		})
	}
}

// TestJobStolenAtAnyStageIsDoneOnce has somebody else's runner take the job. Ours goes, idle, and the other's
// registration, whose name is much like ours, is never touched.
func TestJobStolenAtAnyStageIsDoneOnce(t *testing.T) {
	for _, s := range stages() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, s.setup)
				wait := func() {}
				if s.name == "registered" {
					wait = b.thief() // has been idle longer than ours, so that the job goes to it
				}
				leave := s.reach(b)
				if s.name != "registered" {
					wait = b.thief()
				} else if b.job().RunnerName != "" {
					t.Fatal("the job was stolen before our runner was registered")
				}
				if s.name == "running" {
					b.until(30*time.Minute, "our job done, and nothing of ours left", func() bool { return b.done() && len(b.runners()) == 0 })
					b.queue(1, time.Minute) // so that the other has one, too
				}
				b.until(30*time.Minute, "the other runner takes it", func() bool {
					jobs := b.gh.Jobs()
					return jobs[len(jobs)-1].RunnerName == foreign && jobs[len(jobs)-1].Status != "queued"
				})
				leave()
				wait()
				b.until(30*time.Minute, "nothing left", b.empty)
				b.queue(1, time.Minute)
				b.served(time.Hour)
				b.succeeded()
				for _, r := range b.gh.Runners() {
					if r.Name == foreign && (r.RemovedWhy != "job completed" || len(r.Jobs) != 1) {
						t.Errorf("the other's runner: %+v", r)
					}
				}
				if j := b.job(); (j.RunnerName == foreign) != (s.name != "running") {
					t.Errorf("the job at stage %s: %+v", s.name, j)
				}
			})
		})
	}
}

// TestJobThatLandsWhileItsRunnerIsEndedKeepsIt: a runner was idle for its time and a job comes between that decision
// and the removal of its registration. GitHub's refusal is what tells.
func TestJobThatLandsWhileItsRunnerIsEndedKeepsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			patient(s)
			s.gh.AssignDelay = 5 * time.Second
		})
		b.armGitHub(gh.FaultSpec{Kind: "delay", DelayMS: 15_000, Match: gh.FaultMatch{Method: "DELETE", Path: "**/actions/runners/*"}})
		first := b.queue(1, time.Minute)
		b.until(5*time.Minute, "an idle runner", b.online)
		b.gh.CancelJob(first[0])
		b.until(10*time.Minute, "its end is asked for", func() bool { return b.gh.Faults()[0].Fired == 1 })
		b.queue(1, 5*time.Minute)
		b.served(time.Hour)
		b.fired()
		b.jobsRan()
		b.made(1, 1)
		b.logged("a job has just landed on it")
	})
}
