package fleet_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/world"
)

// guard makes every pool refuse forks.
func guard(s *setup) {
	for i := range s.spec.Pools {
		s.spec.Pools[i].Jobs = runner.Policy{Repositories: []runner.Target{s.spec.Pools[i].Target}, DenyForks: true}
	}
}

var forkJob = gh.JobSpec{Labels: []string{"linux"}, Duration: time.Minute, Event: "pull_request", Head: "mallory/EnergyPlus"}

func TestAForksJobNeverGetsAVM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, guard)
		id := b.gh.AddJobs(forkJob)[0]
		b.until(5*time.Minute, "the reason is told", func() bool { return b.reason() == fleet.WaitPolicyFork })
		time.Sleep(2 * time.Hour)
		if most := b.mostAtOnce(); most != 0 {
			t.Errorf("%d VMs for a job that may not run", most)
		}
		if words := b.log.String(); !strings.Contains(words, "policy_fork") || !strings.Contains(words, "mallory/EnergyPlus") {
			t.Errorf("the log doesn't say why:\n%s", words)
		}
		b.gh.CancelJob(id)
		b.queue(1, time.Minute)
		b.served(time.Hour)
	})
}

func TestForbiddenJobThatLandsOnARunnerEndsAndTheOtherGetsItsOwn(t *testing.T) {
	for name, spec := range map[string]gh.JobSpec{
		"seen by the dispatcher": forkJob,
		// Only the payload says whose run it follows, so it is made a VM and refused there.
		"seen by the guest alone": {Labels: []string{"linux"}, Duration: time.Minute, Event: "workflow_run", Head: gh.DeletedFork},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, guard)
				spec.Steps = []gh.StepSpec{{Run: "echo ran"}, {Run: "echo ran all the same", If: "always()"}}
				forbidden := b.gh.AddJobs(spec)[0] // first in GitHub's queue
				allowed := b.queue(1, time.Minute)[0]
				b.served(2 * time.Hour)
				for _, j := range b.gh.Jobs() {
					switch j.ID {
					case forbidden:
						if j.Conclusion != "failure" || !strings.Contains(j.Log, "refuses this job by jobs.forks") || strings.Contains(j.Log, "ran") {
							t.Errorf("the forbidden job: %+v", j)
						}
					case allowed:
						if j.Conclusion != "success" || j.Starts != 1 {
							t.Errorf("the allowed job: %+v", j)
						}
					}
				}
			})
		})
	}
}

func TestAnImageOfContractOneServesAndSaysWhatItCantDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			guard(s)
			s.guests.Contract = 1
		})
		b.queue(2, time.Minute)
		b.served(time.Hour)
		if n := strings.Count(b.log.String(), "policy not kept by the image"); n != 1 {
			t.Errorf("said %d times:\n%s", n, b.log.String())
		}
	})
}

func TestAnImageWithoutTheHookIsGivenUpWithItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			guard(s)
			s.guests.Image = world.Image()
			delete(s.guests.Image, "/opt/actions-runner/job-started.sh")
		})
		b.queue(1, time.Minute)
		b.until(30*time.Minute, "the reason is told", func() bool { return strings.Contains(b.log.String(), "job-started.sh") })
		if count(b, "in_progress") != 0 {
			t.Error("a job runs without the policy")
		}
	})
}
