//go:build e2e

package e2e

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// jobsPatience ends a test whose jobs never come to an end. With emulated machines on two processors all of one kind
// take three minutes.
const jobsPatience = 12 * time.Minute

// class is one kind of guest and the jobs that it gets.
type class struct {
	image  string
	jobs   int // ordinary ones
	atOnce int // machines: as many as an emulating host bears
	odd    []oddJob
}

// oddJob is a job that doesn't end like the others.
type oddJob struct {
	name, run  string
	cancel     bool
	conclusion string
}

var classes = []class{
	{image: "tiny", jobs: 20, atOnce: 6, odd: []oddJob{
		{name: "fails", run: "exit 3", conclusion: "failure"},
		{name: "leaves a process", run: "sleep 100000 >/dev/null 2>&1 &", conclusion: "success"},
		{name: "is cancelled", run: "sleep 100000", cancel: true, conclusion: "cancelled"},
	}},
	{image: "systemd", jobs: 3, atOnce: 2},
	{image: "runner", jobs: 2, atOnce: 2},
}

// Every job looks for what another left, then leaves files itself, wherever the runner's user can, and says which
// machine this is.
var jobSteps = []gh.StepSpec{
	{Name: "look around", Run: `left_behind() { find "$HOME" /tmp "$RUNNER_WORKSPACE/.." -name 'left-by-*' 2>/dev/null || :; }
[ -z "$(left_behind)" ] || { echo "another job was here:"; left_behind; exit 1; }
for dir in "$HOME" /tmp "$RUNNER_WORKSPACE/.." .; do echo secret >"$dir/left-by-$RUNNER_NAME"; done
sync
echo "left $(left_behind | wc -l) files"`},
	{Name: "say where", Run: `echo "machine $(cat /proc/sys/kernel/random/boot_id)"`},
}

var (
	saysLeft    = regexp.MustCompile(`(?m)Z left +4 files$`)
	saysMachine = regexp.MustCompile(`(?m)Z machine ([0-9a-f-]{36})$`)
)

func TestEveryJobHasAMachineOfItsOwn(t *testing.T) {
	t.Parallel()
	program := buildMayfly(t)
	table := newStageTable()
	for _, k := range classes {
		t.Run(k.image, func(t *testing.T) { table.add(k.image, k.serve(t, program)) })
	}
	t.Logf("how long each stage took, of machines run by %s:\n%s", accel(), table)
}

// serve runs the jobs of a class and gives how long their stages took.
func (k class) serve(t *testing.T, program string) []stages {
	c := newCluster(t, image(t, k.image))
	want := map[int64]string{} // conclusion by job
	for _, id := range c.gh.AddJobs(gh.JobSpec{Count: k.jobs, Labels: []string{"self-hosted", "linux", "EnergyPlus"}, Steps: jobSteps}) {
		want[id] = "success"
	}
	cancel := map[int64]bool{}
	for _, odd := range k.odd {
		steps := append(slices.Clone(jobSteps), gh.StepSpec{Run: odd.run})
		id := c.gh.AddJobs(gh.JobSpec{Name: odd.name, Labels: []string{"self-hosted", "x64"}, Steps: steps})[0]
		want[id], cancel[id] = odd.conclusion, odd.cancel
	}
	env := c.environment(k.atOnce)
	m := runMayfly(t, program, env)
	c.untilAllIsOver(m, cancel)
	m.stop()

	m.wantNoSecrets(env)
	c.wantJobs(want)
	c.wantOneJobPerMachine(len(want))
	c.wantAtMost(k.atOnce)
	c.wantNothingLeft()
	c.wantDecoysUntouched()
	return c.stages()
}

// untilAllIsOver waits until every job is completed, and every machine and registration gone. It cancels jobs that are
// to be cancelled once their first steps have spoken.
func (c *cluster) untilAllIsOver(m *mayfly, cancel map[int64]bool) {
	c.t.Helper()
	deadline := time.NewTimer(jobsPatience)
	defer deadline.Stop()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case err := <-m.ended:
			m.ended <- err
			c.t.Fatalf("mayfly run ended by itself: %v", err)
		case <-deadline.C:
			c.t.Fatalf("not over after %s: %s", jobsPatience, c.unfinished())
		case <-look.C:
		}
		for _, j := range c.gh.State().Jobs {
			if j.Status == "in_progress" && cancel[j.ID] && saysMachine.MatchString(j.Log) {
				delete(cancel, j.ID)
				c.gh.CancelJob(j.ID)
			}
		}
		if c.unfinished() == "" {
			return
		}
	}
}

// unfinished says what is not over yet; "" when all is.
func (c *cluster) unfinished() string {
	var words []string
	state := c.gh.State()
	for _, j := range state.Jobs {
		if j.Status != "completed" {
			words = append(words, fmt.Sprintf("job %q is %s", j.Name, j.Status))
		}
	}
	for _, r := range state.Runners {
		if r.RemovedAt.IsZero() {
			words = append(words, fmt.Sprintf("runner %s is registered", r.Name))
		}
	}
	for _, vm := range c.fleet() {
		if vm.DestroyedAt == nil {
			words = append(words, fmt.Sprintf("VM %d is %s, its console ends with %q", vm.VMID, vm.Status, last(c.machine.Console(vm.VMID), 300)))
		}
	}
	return strings.Join(words, "; ")
}

func last(text string, n int) string { return text[max(0, len(text)-n):] }

// fleet lists the VMs that mayfly made.
func (c *cluster) fleet() []pve.VMState {
	var made []pve.VMState
	for _, vm := range c.pve.State().VMs {
		if vm.CreatedBy == c.pve.Info().TokenID {
			made = append(made, vm)
		}
	}
	return made
}

// wantJobs wants each job run once and ended as it should, with the words of its steps in its log.
func (c *cluster) wantJobs(want map[int64]string) {
	c.t.Helper()
	jobs := c.gh.State().Jobs
	if len(jobs) != len(want) {
		c.t.Errorf("%d jobs, want %d", len(jobs), len(want))
	}
	machines := map[string]string{}
	for _, j := range jobs {
		if j.Conclusion != want[j.ID] || j.Starts != 1 {
			c.t.Errorf("job %q: %s after %d starts, want %s after one; its log:\n%s", j.Name, j.Conclusion, j.Starts, want[j.ID], j.Log)
		}
		if !saysLeft.MatchString(j.Log) {
			c.t.Errorf("job %q didn't leave its files; its log:\n%s", j.Name, j.Log)
		}
		said := saysMachine.FindStringSubmatch(j.Log)
		switch {
		case said == nil:
			c.t.Errorf("job %q doesn't say which machine it ran in; its log:\n%s", j.Name, j.Log)
		case machines[said[1]] != "":
			c.t.Errorf("jobs %q and %q ran in the same machine", j.Name, machines[said[1]])
		default:
			machines[said[1]] = j.Name
		}
	}
}

// wantOneJobPerMachine wants a VM and a registration for each job, of the same name, each started once.
func (c *cluster) wantOneJobPerMachine(jobs int) {
	c.t.Helper()
	vms := map[string]pve.VMState{}
	for _, vm := range c.fleet() {
		vms[vm.Name] = vm
		if len(vm.StartedAt) != 1 || vm.DestroyedBy != c.pve.Info().TokenID {
			c.t.Errorf("VM %d (%s) was started %d times and destroyed by %q", vm.VMID, vm.Name, len(vm.StartedAt), vm.DestroyedBy)
		}
	}
	runners := c.gh.State().Runners
	if len(vms) != jobs || len(c.fleet()) != jobs || len(runners) != jobs {
		c.t.Errorf("%d VMs of %d names and %d registrations for %d jobs", len(c.fleet()), len(vms), len(runners), jobs)
	}
	for _, r := range runners {
		if _, ok := vms[r.Name]; !ok || len(r.Jobs) != 1 {
			c.t.Errorf("runner %s: %d jobs, a VM of its name: %v", r.Name, len(r.Jobs), ok)
		}
	}
}

// wantAtMost wants no more VMs at once than allowed.
func (c *cluster) wantAtMost(limit int) {
	c.t.Helper()
	for _, vm := range c.fleet() {
		alive := 0
		for _, other := range c.fleet() {
			if !other.CreatedAt.After(vm.CreatedAt) && (other.DestroyedAt == nil || other.DestroyedAt.After(vm.CreatedAt)) {
				alive++
			}
		}
		if alive > limit {
			c.t.Errorf("%d VMs at %s, want at most %d", alive, vm.CreatedAt, limit)
		}
	}
}

func (c *cluster) wantNothingLeft() {
	c.t.Helper()
	if words := c.unfinished(); words != "" {
		c.t.Errorf("left: %s", words)
	}
	if len(c.machine.Running()) != 0 || len(c.machine.Disks()) != 0 {
		c.t.Errorf("left: machines %v, disks %v", c.machine.Running(), c.machine.Disks())
	}
}

// wantDecoysUntouched wants every VM that isn't mayfly's as it was.
func (c *cluster) wantDecoysUntouched() {
	c.t.Helper()
	decoys := 0
	for _, vm := range c.pve.State().VMs {
		if vm.DigestStart == "" {
			continue
		}
		decoys++
		if vm.DigestNow != vm.DigestStart {
			c.t.Errorf("VM %d (%s) is not as it was", vm.VMID, vm.Decoy)
		}
	}
	if kinds := 6; decoys < 2*kinds { // each inside and outside the resource pool
		c.t.Errorf("%d decoys, want %d at least: too little was there to touch", decoys, 2*kinds)
	}
}
