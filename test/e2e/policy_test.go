//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"mayfly/internal/sim/gh"
)

// TestAForksJobIsRefusedInTheGuest queues a fork's job before one of the repository itself, with the same labels. The
// dispatcher makes a machine for the second only; GitHub gives it the first, and the hook ends that before any step. The
// guest with cloud-init is the one that has python3, as runner images do.
func TestAForksJobIsRefusedInTheGuest(t *testing.T) {
	t.Parallel()
	c := newCluster(t, image(t, "cloudinit"))
	labels := []string{"self-hosted", "linux", "energyplus"}
	steps := []gh.StepSpec{{Run: "echo a step ran"}, {Run: "echo a step ran all the same", If: "always()"}}
	fork := c.gh.AddJobs(gh.JobSpec{Name: "fork", Labels: labels, Steps: steps, Event: "pull_request", Head: "mallory/EnergyPlus"})[0]
	own := c.gh.AddJobs(gh.JobSpec{Name: "own", Labels: labels, Steps: steps, Event: "pull_request"})[0]
	env := c.environment(1)
	m := runMayfly(t, buildMayfly(t), env)
	c.untilAllIsOver(m, nil)
	m.stop()

	m.wantNoSecrets(env)
	want := map[int64]string{fork: "failure", own: "success"}
	for _, j := range c.gh.State().Jobs {
		refused := strings.Contains(j.Log, "::error ") && strings.Contains(j.Log, "refuses this job by jobs.forks: it is of a fork (mallory/EnergyPlus; event pull_request)")
		ran := strings.Contains(j.Log, "Z a step ran\n") || strings.Contains(j.Log, "Z a step ran all the same\n")
		if j.Conclusion != want[j.ID] || j.Starts != 1 {
			t.Errorf("job %s: %s after %d starts, want %s after one", j.Name, j.Conclusion, j.Starts, want[j.ID])
		}
		if refused != (j.ID == fork) || ran == (j.ID == fork) || !strings.Contains(j.Log, "runner:  "+j.RunnerName) {
			t.Errorf("job %s: refused %v, ran %v, log:\n%s", j.Name, refused, ran, j.Log)
		}
	}
	if !strings.Contains(m.log.String(), "policy_fork") {
		t.Error("mayfly run doesn't say why the fork's job waits")
	}
	c.wantOneJobPerMachine(2)
	c.wantNothingLeft()
}
