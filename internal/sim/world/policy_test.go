package world

import (
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
)

func TestSeededGuestKeepsThePolicyWhereItsImageCan(t *testing.T) {
	for name, tc := range map[string]struct {
		contract int
		spec     gh.JobSpec
		want     string
		words    string
	}{
		"a fork":                  {0, gh.JobSpec{Event: "pull_request", Head: "mallory/EnergyPlus"}, "failure", "pool ep refuses this job by jobs.forks"},
		"a fork's follower":       {0, gh.JobSpec{Event: "workflow_run", Head: gh.DeletedFork}, "failure", "jobs.forks"},
		"an event":                {0, gh.JobSpec{Event: "schedule"}, "failure", "jobs.events"},
		"an own pull request":     {0, gh.JobSpec{Event: "pull_request"}, "success", "ran"},
		"a fork, on an old image": {1, gh.JobSpec{Event: "pull_request", Head: "mallory/EnergyPlus"}, "success", "ran"},
	} {
		t.Run(name, func(t *testing.T) {
			inRoom(t, GuestOptions{Contract: tc.contract}, func(r *room) {
				const runnerName = "ep-0123456789"
				tc.spec.Labels, tc.spec.Steps = []string{"linux"}, []gh.StepSpec{{Run: "echo ran", If: "always()"}}
				r.gh.AddJobs(tc.spec)
				r.seed(201, shipped(t, cloudinit.Values{
					RepoURL: "https://github.example/NREL/EnergyPlus", Labels: []string{"linux"}, Name: runnerName, User: "runner", Pool: "ep",
					Jobs:      runner.Policy{Repositories: []runner.Target{target}, Events: []string{"push", "pull_request", "workflow_run"}, DenyForks: true},
					JITConfig: runner.NewSecret(r.mint(runnerName)),
				}))
				r.powersOff(201, 10*time.Minute)
				j := r.gh.Jobs()[0]
				if j.Conclusion != tc.want || !strings.Contains(strings.ToLower(j.Log), tc.words) {
					t.Errorf("%s with log %q, want %s with %q", j.Conclusion, j.Log, tc.want, tc.words)
				}
				if tc.want == "failure" && strings.Contains(j.Log, "ran") {
					t.Errorf("a step ran: %q", j.Log)
				}
			})
		})
	}
}

func TestRunOncesPolicyOptions(t *testing.T) {
	for option, values := range map[string]map[string]bool{
		"--pool":       {"ep": true, "": true, "a b": false},
		"--repository": {"a/b,c/d": true, "": true, "a": false, "a/b,": false},
		"--events":     {"push,schedule": true, "": true},
		"--forks":      {"allow": true, "deny": true, "": true, "maybe": false},
	} {
		for value, ok := range values {
			if got := (&policy{}).set(option, value); got != ok {
				t.Errorf("%s %q: %v, want %v", option, value, got, ok)
			}
		}
	}
}
