package up

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

func TestTheFirstJobIsWatchedFromTheQueueToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.dispatch()
		b.queue(2*time.Minute, nil)
		if err := b.watch(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, b.out.String())
		}
		b.says(
			"no job waits yet", "runs-on: [self-hosted, linux, energyplus]", "gh workflow run FILE --repo NREL/EnergyPlus",
			`job "build" of CI of NREL/EnergyPlus is queued`, "VM 300 on pve1 is cloned for runner ep-", "VM 300 runs", "is registered and online",
			"in progress on ep-", "done: success", "VM 300 is gone", `done in`, `job "build" of CI waited`, "and ran 1 min 30 s on ep-", ": success",
		)
		t.Logf("it printed:\n%s", b.out.String())
		last := time.Duration(-1)
		for line := range strings.Lines(b.out.String()) { // the times go forward
			if at, err := time.ParseDuration(strings.Replace(strings.Fields(line)[0], ":", "m", 1) + "s"); err == nil {
				if at < last {
					t.Errorf("goes back: %s", line)
				}
				last = at
			}
		}
		if last < 2*time.Minute {
			t.Errorf("the last time told is %s", last)
		}

		b.out.Reset()
		if err := b.watch(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.says(`already done: job "build" of CI ran on ep-`, ": success")
	})
}

// TestTheFirstJobMayBeOfAnyRepository has the pool's first repository have no job, and another one fail.
func TestTheFirstJobMayBeOfAnyRepository(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.spec.Pools[0].More = []runner.Target{{Owner: "NREL", Repo: "OpenStudio"}}
		b.job.Spec = b.spec
		b.dispatch()
		b.queue(2*time.Minute, func(j *gh.JobSpec) { j.Repository = "NREL/OpenStudio" })
		time.AfterFunc(time.Minute, func() {
			if _, err := b.gh.Fault(gh.FaultSpec{Match: gh.FaultMatch{Path: "/repos/NREL/EnergyPlus/actions/runs", Count: -1}, Kind: "502"}); err != nil {
				t.Error(err)
			}
		})
		b.gh.AddJobs(gh.JobSpec{Labels: []string{"elsewhere"}, Repository: "NREL/OpenStudio"}) // so that it is there
		if err := b.watch(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, b.out.String())
		}
		b.says("Give a job in a workflow of NREL/EnergyPlus or NREL/OpenStudio these labels", "of NREL/OpenStudio is queued", "done: success")
		b.out.Reset()
		if err := b.watch(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.says("already done: job \"build\" of CI ran on ep-")
	})
}

// TestAWatchThatIsInterruptedAnywhereGoesOn ends the watch at many moments of the job's life and calls it again.
func TestAWatchThatIsInterruptedAnywhereGoesOn(t *testing.T) {
	for after := time.Second; after < 4*time.Minute; after += 23 * time.Second {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.dispatch()
				b.queue(20*time.Second, nil)
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				if err := b.watch(ctx); err == nil || !strings.HasPrefix(err.Error(), "interrupted in step job: ") {
					if err != nil || !strings.Contains(b.out.String(), "done in") {
						t.Errorf("%v\n%s", err, b.out.String())
					}
				}
				b.out.Reset()
				if err := b.watch(t.Context()); err != nil {
					t.Fatalf("%v\n%s", err, b.out.String())
				}
				b.says(`job "build" of CI`, ": success")
				if jobs := b.gh.State().Jobs; len(jobs) != 1 || jobs[0].Starts != 1 {
					t.Errorf("jobs %+v", jobs)
				}
			})
		})
	}
}

func TestAWorkflowIsStartedOnceAndWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.dispatch()
		// The stand-in knows workflows that have had a run: on a runner that isn't ours.
		old := b.gh.AddJobs(gh.JobSpec{Name: "build", Workflow: "Nightly", Labels: []string{"self-hosted", "linux"}})
		b.gh.CancelJob(old[0])
		b.job.Workflow = "nightly.yml"
		if err := b.watch(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, b.out.String())
		}
		b.says("started nightly.yml of NREL/EnergyPlus on main", "is queued", "done: success")
		b.out.Reset()
		if err := b.watch(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.says("already done")
		if n := len(b.gh.State().Jobs); n != 2 {
			t.Errorf("%d jobs", n)
		}
	})
}

func TestAWorkflowThatIsntThereStopsTheStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.job.Workflow = "none.yml"
		if err := b.watch(t.Context()); err == nil || !strings.Contains(err.Error(), "start workflow none.yml") || !strings.Contains(err.Error(), ".github/workflows") {
			t.Errorf("%v\n%s", err, b.out.String())
		}
	})
}

func TestAJobThatGetsNoVMStopsTheStepWithTheReason(t *testing.T) {
	for name, tc := range map[string]struct {
		why   func(int64) string
		words string
	}{
		"nobody dispatches":   {nil, "no dispatcher makes one, it seems; see the dispatcher's log (where it runs)"},
		"the reason is known": {func(int64) string { return "storage \"fast\" is full" }, `without a VM: storage "fast" is full; see`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.job.Why = tc.why
				b.queue(0, nil)
				began := time.Now()
				if err := b.watch(t.Context()); err == nil || !strings.Contains(err.Error(), tc.words) || time.Since(began) < runnerWithin {
					t.Errorf("%v after %s\n%s", err, time.Since(began), b.out.String())
				}
			})
		})
	}
}

func TestNoJobAtAllEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.queue(0, func(s *gh.JobSpec) { s.Labels = []string{"self-hosted", "windows"} }) // not for us
		if err := b.watch(t.Context()); err == nil || !strings.Contains(err.Error(), "no job came within 60 min 0 s; start one (runs-on: [self-hosted") {
			t.Errorf("%v\n%s", err, b.out.String())
		}
	})
}

func TestAJobThatIsCancelledIsNotTheFirstJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.dispatch()
		b.queue(0, nil)
		time.AfterFunc(10*time.Second, func() { b.gh.CancelJob(b.gh.State().Jobs[0].ID) })
		b.queue(5*time.Minute, func(s *gh.JobSpec) { s.Name, s.Fail = "again", true })
		if err := b.watch(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, b.out.String())
		}
		b.says(`job "build" of CI of NREL/EnergyPlus is queued`, "ended without having run to its end: cancelled", `job "again"`, "done: failure",
			": failure; why is in its log: https://")
	})
}

func TestAServerThatIsSilentIsAskedAgainAndOneThatRefusesIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.dispatch()
		b.queue(0, nil)
		time.AfterFunc(20*time.Second, func() {
			if _, err := b.pve.Fault(pve.FaultSpec{Match: pve.FaultMatch{Path: "/cluster/resources", Count: 40}, Kind: "answer", Status: 595, Reason: "no route"}); err != nil {
				t.Error(err)
			}
		})
		if err := b.watch(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, b.out.String())
		}
		b.says("; asking again", "Proxmox answers again", "done: success")
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.token = "github_pat_that_was_revoked"
		_, b.job.GitHub = b.both()
		if err := b.watch(t.Context()); err == nil || !strings.Contains(err.Error(), "GitHub answers 401") || b.out.String() != "1/1  job\n" {
			t.Errorf("%v\n%s", err, b.out.String())
		}
	})
}
