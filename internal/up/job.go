package up

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// GitHub is what the watch asks of GitHub.
type GitHub interface {
	Jobs(ctx context.Context, t runner.Target) ([]runner.Job, error)
	Job(ctx context.Context, t runner.Target, id int64) (github.JobReport, error)
	LastJobs(ctx context.Context, t runner.Target, runs int) ([]github.JobReport, error)
	Runners(ctx context.Context, t runner.Target) ([]runner.Registration, error)
	Skew() time.Duration
}

// Starter starts a workflow.
type Starter interface {
	Repository(ctx context.Context, t runner.Target) (github.Repository, error)
	Dispatch(ctx context.Context, t runner.Target, workflow, ref string) error
}

// Proxmox is what the watch asks of Proxmox VE.
type Proxmox interface {
	Resources(ctx context.Context) ([]proxmox.Resource, error)
	VMConfig(ctx context.Context, node string, vmid int) (proxmox.VMConfig, error)
}

// FirstJob watches the first job from the queue to its end. All but Workflow and Why are required.
type FirstJob struct {
	GitHub  GitHub
	Starter Starter
	Proxmox Proxmox
	// Spec is the fleet's: whose VMs are ours, and which pools there are.
	Spec fleet.Spec
	// Workflow is a file of .github/workflows to start, with the trigger workflow_dispatch, when no job waits; "" for none.
	Workflow string
	// Why says why a job waits, as far as that is known here; "" while it isn't. nil knows nothing.
	Why func(job int64) string
	// Log says where the dispatcher's log is: "in container 190: journalctl -u mayfly".
	Log string
	Out *Printer
}

const (
	// look is how often both sides are asked: a job's whole life is minutes.
	look = 3 * time.Second
	// comeWithin is how long a job may take to come, which people start.
	comeWithin = time.Hour
	// runnerWithin is how long a waiting job may be without any VM for it. A dispatcher looks every 15 s or so, and a clone that
	// copies a whole disk takes minutes.
	runnerWithin = 10 * time.Minute
	// silentWithin is how long a server may not answer.
	silentWithin = 10 * time.Minute
	// goneWithin is how long a VM may outlive its job before that is remarked: its guest lingers 20 s.
	goneWithin = 3 * time.Minute
	// lastRuns is how many completed runs are searched for a job of ours.
	lastRuns = 20
)

// Step is the watch as a step.
func (f *FirstJob) Step() Step { return Step{Name: "job", Already: f.already, Do: f.do} }

// already looks for a job that one of our runners has done.
func (f *FirstJob) already(ctx context.Context) (string, error) {
	var unread error
	for _, t := range f.Spec.Targets() {
		last, err := f.GitHub.LastJobs(ctx, t, lastRuns)
		if err != nil {
			unread = cmp.Or(unread, err)
			continue
		}
		for _, j := range last {
			if f.ours(t, j.RunnerName) && ran(j) {
				return fmt.Sprintf("%s ran on %s: %s", title(j.Job), j.RunnerName, j.Conclusion), nil
			}
		}
	}
	return "", unread
}

// ran reports whether a runner did the job to its end, well or badly.
func ran(j github.JobReport) bool {
	return slices.Contains([]string{"success", "failure", "timed_out"}, j.Conclusion)
}

// ours reports whether a runner of that name is one of our pools', as names go.
func (f *FirstJob) ours(t runner.Target, name string) bool {
	return runner.IsName(name) && slices.ContainsFunc(f.Spec.Pools, func(p runner.Pool) bool {
		return p.At(t) && strings.HasPrefix(name, p.NamePrefix+"-")
	})
}

// title names a job for people.
func title(j runner.Job) string {
	if j.Workflow == "" {
		return fmt.Sprintf("job %q", j.Name)
	}
	return fmt.Sprintf("job %q of %s", j.Name, j.Workflow)
}

// do waits for a job and watches it; one that somebody else takes or cancels doesn't count.
func (f *FirstJob) do(ctx context.Context) (string, error) {
	for {
		job, err := f.come(ctx)
		if err != nil {
			return "", err
		}
		c := &course{FirstJob: f, job: job, began: time.Now()}
		end, err := c.watch(ctx)
		if err != nil || end != "" {
			return end, err
		}
	}
}

// come waits for a job that a runner of ours has or could take. Where none is there it starts one, or says how to.
func (f *FirstJob) come(ctx context.Context) (runner.Job, error) {
	silent := silence{f: f}
	deadline := time.Now().Add(comeWithin)
	for told := false; ; {
		job, found, err := f.pick(ctx)
		if err := silent.judge(ctx, "GitHub", err); err != nil {
			return runner.Job{}, err
		}
		if found {
			return job, nil
		}
		if !told && err == nil {
			if err := f.ask(ctx); err != nil {
				return runner.Job{}, err
			}
			told = true
		}
		if time.Now().After(deadline) {
			return runner.Job{}, fmt.Errorf("no job came within %s; start one (runs-on: %s)", Took(comeWithin), runsOn(f.Spec.Pools[0]))
		}
		if err := sleep(ctx, look); err != nil {
			return runner.Job{}, err
		}
	}
}

// pick chooses the job to watch: one that runs on a runner of ours, else the one that has waited longest. A repository that
// can't be read is an error only where no other has a job.
func (f *FirstJob) pick(ctx context.Context) (runner.Job, bool, error) {
	var running, waiting []runner.Job
	var unread error
	for _, t := range f.Spec.Targets() {
		jobs, err := f.GitHub.Jobs(ctx, t)
		if err != nil {
			unread = cmp.Or(unread, err)
			continue
		}
		for _, j := range jobs {
			switch {
			case f.ours(t, j.RunnerName):
				running = append(running, j)
			case j.Waiting() && f.serves(j):
				waiting = append(waiting, j)
			}
		}
	}
	for _, list := range [][]runner.Job{running, waiting} {
		if len(list) > 0 {
			return slices.MinFunc(list, func(a, b runner.Job) int { return a.CreatedAt.Compare(b.CreatedAt) }), true, nil
		}
	}
	return runner.Job{}, false, unread
}

// serves reports whether a pool takes the job.
func (f *FirstJob) serves(j runner.Job) bool {
	return slices.ContainsFunc(f.Spec.Pools, func(p runner.Pool) bool {
		rule, _ := p.Jobs.Forbids(j)
		return p.Serves(j) && rule == "" && (!f.Spec.Hosted || !p.LeavesToGitHub(j))
	})
}

// ask starts the workflow, or says what to put into one and how to start it.
func (f *FirstJob) ask(ctx context.Context) error {
	pool := f.Spec.Pools[0]
	if f.Workflow != "" {
		repo, err := f.Starter.Repository(ctx, pool.Target)
		if err != nil {
			return err
		}
		if err := f.Starter.Dispatch(ctx, pool.Target, f.Workflow, repo.DefaultBranch); err != nil && !errors.Is(err, github.MaybeHappened) {
			return err
		}
		f.Out.Line(fmt.Sprintf("started %s of %s on %s; waiting for its job that says runs-on: %s", f.Workflow, pool.Target, repo.DefaultBranch, runsOn(pool)))
		return nil
	}
	f.Out.Line(fmt.Sprintf("no job waits yet. Give a job in a workflow of %s these labels:", strings.ReplaceAll(pool.TargetList(), ", ", " or ")))
	f.Out.Verbatim("runs-on: " + runsOn(pool))
	f.Out.Line("and start it by a push, or where it has the trigger workflow_dispatch by")
	f.Out.Verbatim("gh workflow run FILE --repo " + pool.Target.String())
	f.Out.Line("It is watched here as soon as it is queued (Ctrl-C ends the wait).")
	return nil
}

// runsOn is what a workflow writes for the pool.
func runsOn(p runner.Pool) string { return "[" + strings.Join(p.RegistrationLabels(), ", ") + "]" }

// sleep waits, or returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
