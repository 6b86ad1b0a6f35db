//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"mayfly/internal/sim/pve"
)

// stageNames are the stages of a job's VM, in order. Each ends with what the stand-ins recorded, and begins where the one
// before it ended; clone begins with its request.
var stageNames = []string{
	"clone",              // until its configuration is changed, which no clone in flight allows
	"boot",               // until the machine is on
	"agent ready",        // until the guest agent answers
	"identity delivered", // until the guest has executed run-once.sh with it
	"job started",        // until the runner started the job
	"powered off",        // until the guest turned itself off: the job, and 20 s of lingering
	"destroyed",          // until the VM is gone
}

// stages is how long each stage of one job took; negative where the records don't tell.
type stages []time.Duration

// stages reads the stages of every job from the records of the stand-ins.
func (c *cluster) stages() []stages {
	state := c.gh.State()
	registered := map[string]time.Time{}
	for _, r := range state.Runners {
		registered[r.Name] = r.CreatedAt
	}
	var all []stages
	for _, j := range state.Jobs {
		vms := c.fleet()
		i := slices.IndexFunc(vms, func(vm pve.VMState) bool { return vm.Name == j.RunnerName })
		if i < 0 || len(vms[i].StartedAt) == 0 || len(vms[i].StoppedAt) == 0 || vms[i].DestroyedAt == nil {
			c.t.Errorf("job %q: no whole life of VM %q in the records", j.Name, j.RunnerName)
			continue
		}
		vm := vms[i]
		ends := []time.Time{
			vm.CreatedAt,
			c.first(vm, http.MethodPut, "/config", vm.CreatedAt), vm.StartedAt[0],
			c.first(vm, http.MethodPost, "/agent/exec", vm.StartedAt[0]),
			c.first(vm, http.MethodPost, "/agent/exec", registered[j.RunnerName]), j.StartedAt, vm.StoppedAt[0], *vm.DestroyedAt,
		}
		var s stages
		for n := range stageNames {
			if ends[n].IsZero() || ends[n+1].IsZero() {
				c.t.Errorf("job %q: the records don't tell when VM %d was through with stage %q", j.Name, vm.VMID, stageNames[n])
			}
			s = append(s, ends[n+1].Sub(ends[n]))
		}
		all = append(all, s)
	}
	return all
}

// first is when the first such request about the VM after a time was answered well; POST stands for PUT too.
func (c *cluster) first(vm pve.VMState, method, what string, after time.Time) time.Time {
	for _, r := range c.pve.State().Requests {
		path, _, _ := strings.Cut(r.Path, "?")
		changes := r.Method == method || (method == http.MethodPut && r.Method == http.MethodPost)
		end := r.At.Add(r.Took)
		if changes && r.VMID == vm.VMID && r.Status == http.StatusOK && strings.HasSuffix(path, what) && !end.Before(after) {
			return end
		}
	}
	return time.Time{}
}

// stageTable shows the stages of each class of jobs.
type stageTable struct {
	names   []string
	classes map[string][]stages
}

func newStageTable() *stageTable { return &stageTable{classes: map[string][]stages{}} }

func (t *stageTable) add(name string, jobs []stages) {
	t.names = append(t.names, name)
	t.classes[name] = jobs
}

// String is a line for each stage, a pair of columns for each class: the median and the longest.
func (t *stageTable) String() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 3, ' ', tabwriter.AlignRight)
	line := func(first string, cell func(jobs []stages) (median, longest string)) {
		fmt.Fprint(w, first)
		for _, name := range t.names {
			median, longest := cell(t.classes[name])
			fmt.Fprintf(w, "\t%s\t%s", median, longest)
		}
		fmt.Fprintln(w, "\t")
	}
	fmt.Fprint(w, "stage")
	for _, name := range t.names {
		fmt.Fprintf(w, "\t%d %s: median\tlongest", len(t.classes[name]), name)
	}
	fmt.Fprintln(w, "\t")
	for n, stage := range stageNames {
		line(stage, func(jobs []stages) (string, string) {
			return spread(jobs, func(s stages) time.Duration { return s[n] })
		})
	}
	line("all", func(jobs []stages) (string, string) {
		return spread(jobs, func(s stages) (sum time.Duration) {
			for _, d := range s {
				sum += d
			}
			return sum
		})
	})
	if err := w.Flush(); err != nil {
		return err.Error()
	}
	return text.String()
}

// spread gives the median and the longest, in seconds.
func spread(jobs []stages, of func(stages) time.Duration) (median, longest string) {
	if len(jobs) == 0 {
		return "-", "-"
	}
	var took []time.Duration
	for _, s := range jobs {
		took = append(took, of(s))
	}
	slices.Sort(took)
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
	return seconds(took[len(took)/2]), seconds(took[len(took)-1])
}
