//go:build e2e

package e2e

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// TestFleetOfTwoPoolsOnTwoNodes is a day of a small fleet: one pool keeps a booted spare, the other makes each VM when a
// job comes; a job is cancelled when its runner is there; a VM is stopped from outside while its job runs. Nothing of it is left
// in the end.
func TestFleetOfTwoPoolsOnTwoNodes(t *testing.T) {
	t.Parallel()
	program := buildMayfly(t)
	// GitHub gives a job up ten minutes after the last sign of its runner; here sooner.
	c := newClusterBeside(t, image(t, "tiny"), pve.Options{Nodes: []string{"pve1", "pve2"}}, gh.Options{Lease: time.Minute})
	env := c.environment(4)
	m := runMayfly(t, program, env, "--config", c.fleetConfig(), "--drain")

	var spare pve.VMState
	c.wait(m, "a booted spare", func() bool {
		for _, vm := range c.fleet() {
			if vm.Node == "pve2" && len(vm.StartedAt) == 1 && !c.first(vm, http.MethodPost, "/agent/exec", vm.StartedAt[0]).IsZero() {
				spare = vm
			}
		}
		return spare.VMID != 0
	})
	if n := len(c.gh.State().Runners); n != 0 {
		t.Fatalf("%d registrations for no job", n)
	}

	warm, cold := c.run("warm", jobSteps), c.run("cold", jobSteps)
	c.wait(m, "both jobs done", func() bool { return c.ended(warm) && c.ended(cold) })
	onSpare, made := c.machineOf(warm), c.machineOf(cold)
	if onSpare.Name != spare.Name {
		t.Errorf("job %d ran on %q, not on the spare %q", warm, onSpare.Name, spare.Name)
	}
	if made.Node != "pve1" || onSpare.Node != "pve2" || made.CreatedAt.Before(c.state(cold).CreatedAt) {
		t.Errorf("the cold job's VM is on %s, made %s, the job queued %s; the warm one's is on %s", made.Node, made.CreatedAt, c.state(cold).CreatedAt, onSpare.Node)
	}
	fromSpare, fromNothing := c.waited(warm), c.waited(cold)
	t.Logf("from queued to started: %.1f s on a booted spare, %.1f s on a VM made for the job", fromSpare.Seconds(), fromNothing.Seconds())
	if fromSpare >= fromNothing {
		t.Errorf("a spare brings nothing: %s with one, %s without", fromSpare, fromNothing)
	}
	c.wait(m, "another spare", func() bool {
		return slices.ContainsFunc(c.fleet(), func(vm pve.VMState) bool { return vm.Node == "pve2" && vm.Name != spare.Name && vm.Status == "running" })
	})

	// A surplus runner: its job is gone when it is there.
	before := len(c.gh.State().Runners)
	left := c.run("cold", jobSteps)
	c.wait(m, "its runner's registration", func() bool { return len(c.gh.State().Runners) > before })
	if !c.gh.CancelJob(left) || c.state(left).Starts != 0 {
		t.Fatalf("job %d has begun", left)
	}
	surplus := c.gh.State().Runners[before]
	c.wait(m, "the surplus runner's end", func() bool { return c.gone(surplus.Name) })
	surplus = c.gh.State().Runners[before]
	if at := c.named(surplus.Name).DestroyedAt; len(surplus.Jobs) != 0 || surplus.RemovedAt.IsZero() || surplus.RemovedAt.After(*at) {
		t.Errorf("runner %s: jobs %v, deregistered %s, VM destroyed %s", surplus.Name, surplus.Jobs, surplus.RemovedAt, at)
	}

	// A VM that somebody stops while its job runs.
	killed := c.run("cold", []gh.StepSpec{jobSteps[1], {Run: "sleep 100000"}})
	c.wait(m, "its job to run", func() bool { return saysMachine.MatchString(c.state(killed).Log) })
	victim := c.named(c.state(killed).RunnerName)
	c.stopByHand(victim)
	c.wait(m, "the end of what is left of it", func() bool { return c.ended(killed) && c.gone(victim.Name) })
	if j := c.state(killed); j.Conclusion != "failure" || j.Starts != 1 {
		t.Errorf("its job: %s after %d starts", j.Conclusion, j.Starts)
	}
	again := c.run("cold", jobSteps)
	c.wait(m, "the next job done", func() bool { return c.ended(again) })

	m.stop()
	for _, id := range []int64{warm, cold, again} {
		if j := c.state(id); j.Conclusion != "success" || j.Starts != 1 {
			t.Errorf("job %d: %s after %d starts; its log:\n%s", id, j.Conclusion, j.Starts, j.Log)
		}
	}
	m.wantNoSecrets(env)
	c.wantAtMost(4)
	c.wantNothingLeft()
	c.wantDecoysUntouched()
}

// fleetConfig writes a mayfly.yaml that leaves to the environment who asks.
func (c *cluster) fleetConfig() string {
	c.t.Helper()
	text := fmt.Sprintf(`proxmox: {nodes: [pve1, pve2]}
pools:
  - {name: cold, target: %[1]s, labels: [cold], nodes: [pve1], idle_timeout: 15s}
  - {name: warm, target: %[1]s, labels: [warm], nodes: [pve2], idle_timeout: 15s, booted_spares: 1}
`, repository)
	path := filepath.Join(c.t.TempDir(), "mayfly.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// run queues a job of a pool.
func (c *cluster) run(label string, steps []gh.StepSpec) int64 {
	return c.gh.AddJobs(gh.JobSpec{Name: "on " + label, Labels: []string{"self-hosted", label}, Steps: steps})[0]
}

// wait waits until something has come true.
func (c *cluster) wait(m *mayfly, what string, is func() bool) {
	c.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for !is() {
		select {
		case err := <-m.ended:
			m.ended <- err
			c.t.Fatalf("mayfly run ended by itself: %v", err)
		case <-deadline.C:
			c.t.Fatalf("waited %s for %s: %s", patience, what, c.unfinished())
		case <-look.C:
		}
	}
}

// state is the job as GitHub sees it.
func (c *cluster) state(job int64) gh.JobState {
	c.t.Helper()
	jobs := c.gh.State().Jobs
	i := slices.IndexFunc(jobs, func(j gh.JobState) bool { return j.ID == job })
	if i < 0 {
		c.t.Fatalf("there is no job %d", job)
	}
	return jobs[i]
}

func (c *cluster) ended(job int64) bool { return c.state(job).Status == "completed" }

// waited is how long the job was queued.
func (c *cluster) waited(job int64) time.Duration {
	j := c.state(job)
	return j.StartedAt.Sub(j.CreatedAt)
}

// machineOf is the VM that the job ran in.
func (c *cluster) machineOf(job int64) pve.VMState { return c.named(c.state(job).RunnerName) }

// named is the VM of that name, which may be gone.
func (c *cluster) named(name string) pve.VMState {
	c.t.Helper()
	made := c.fleet()
	i := slices.IndexFunc(made, func(vm pve.VMState) bool { return vm.Name == name })
	if i < 0 {
		c.t.Fatalf("there was no VM %q", name)
	}
	return made[i]
}

// gone reports whether neither side has anything of the runner.
func (c *cluster) gone(name string) bool {
	registered := slices.ContainsFunc(c.gh.State().Runners, func(r gh.RunnerState) bool { return r.Name == name && r.RemovedAt.IsZero() })
	return !registered && c.named(name).DestroyedAt != nil
}

// stopByHand is what an administrator does: qm stop.
func (c *cluster) stopByHand(vm pve.VMState) {
	c.t.Helper()
	info := c.pve.Info()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, fmt.Sprintf("%s/api2/json/nodes/%s/qemu/%d/status/stop", info.URL, vm.Node, vm.VMID), http.NoBody)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "PVEAPIToken="+info.AdminTokenID+"="+info.AdminTokenSecret)
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // the stand-in's own, on this machine
	defer web.CloseIdleConnections()
	resp, err := web.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("stop VM %d: %s", vm.VMID, resp.Status)
	}
}
