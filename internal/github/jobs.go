package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	gh "github.com/google/go-github/v88/github"
	"golang.org/x/sync/errgroup"

	"mayfly/internal/runner"
)

// searchLimit is the most runs that a filtered list gives (OpenAPI, actions/list-workflow-runs-for-repo: "up to 1,000
// results for each search").
const searchLimit = 1000

// runStatuses are those of runs that may hold jobs for us. "in_progress" does: a started run still queues jobs of its
// matrix or behind "needs"; so does "waiting", where only some jobs wait for an approval, and "pending", where some
// wait for a concurrency group. The order is that of a run's life, so that one that moves on while we read is seen
// twice, not never.
func runStatuses() []string { return []string{"pending", "waiting", "queued", "in_progress"} }

// Jobs returns the jobs of the repository that aren't completed, by id. It reads the runs that may have some, then the
// latest attempt's jobs of each: at least 4 requests, conditional ones, and one more per active run. It returns all of
// them or an error: [NotFound], [Unauthorized], [Permission], [RateLimited] or [Unavailable].
func (c *Client) Jobs(ctx context.Context, t runner.Target) ([]runner.Job, error) {
	op := "list jobs of " + t.String()
	if err := check(op, t); err != nil {
		return nil, err
	}
	runs, err := c.activeRuns(ctx, op, t)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(runs))
	for i, run := range runs {
		ids[i] = run.GetID()
	}
	c.cache.onlyRuns(fmt.Sprintf("%srepos/%s/actions/runs/", c.wire.base, t), ids)
	lists := make([][]runner.Job, len(runs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.concurrency)
	for i, run := range runs {
		group.Go(func() error {
			var err error
			lists[i], err = c.runJobs(ctx, t, run)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	jobs := slices.Concat(lists...)
	slices.SortFunc(jobs, func(a, b runner.Job) int { return cmp.Compare(a.ID, b.ID) })
	return slices.CompactFunc(jobs, func(a, b runner.Job) bool { return a.ID == b.ID }), nil
}

// activeRuns returns the runs that may have jobs to do, each once, oldest first.
func (c *Client) activeRuns(ctx context.Context, op string, t runner.Target) ([]*gh.WorkflowRun, error) {
	var active []*gh.WorkflowRun
	for _, status := range runStatuses() {
		runs, err := c.runs(ctx, op, t, status)
		if err != nil {
			return nil, err
		}
		active = append(active, runs...)
	}
	slices.SortStableFunc(active, func(a, b *gh.WorkflowRun) int { return cmp.Compare(a.GetID(), b.GetID()) })
	return slices.CompactFunc(active, func(a, b *gh.WorkflowRun) bool { return a.GetID() == b.GetID() }), nil
}

// runs lists the runs of one status, newest first. Where GitHub cuts the list off it goes on with those created no
// later than the oldest so far.
func (c *Client) runs(ctx context.Context, op string, t runner.Target, status string) ([]*gh.WorkflowRun, error) {
	var all []*gh.WorkflowRun
	seen := map[int64]bool{}
	for created := ""; ; {
		window, err := c.runsCreated(ctx, op, t, status, created)
		if err != nil {
			return nil, err
		}
		before := len(all)
		oldest := time.Time{}
		for _, r := range window {
			if !seen[r.GetID()] {
				seen[r.GetID()] = true
				all = append(all, r)
			}
			if at := r.GetCreatedAt().Time; oldest.IsZero() || at.Before(oldest) {
				oldest = at
			}
		}
		if len(window) < searchLimit {
			return all, nil
		}
		if len(all) == before || oldest.IsZero() {
			return nil, &Error{Kind: Unavailable, Op: op, Message: fmt.Sprintf("over %d runs are %s, more than GitHub lists; cancel those that nobody needs", searchLimit, status)}
		}
		created = "<=" + oldest.UTC().Format(time.RFC3339)
	}
}

func (c *Client) runsCreated(ctx context.Context, op string, t runner.Target, status, created string) ([]*gh.WorkflowRun, error) {
	return listing[*gh.WorkflowRun]{
		op: op, most: searchLimit, pointers: true,
		id: func(r *gh.WorkflowRun) int64 { return r.GetID() },
		read: func(ctx context.Context, at int) (page[*gh.WorkflowRun], error) {
			runs, res, err := do(ctx, c, op, polling, func(ctx context.Context) (*gh.WorkflowRuns, *gh.Response, error) {
				return c.gh.Actions.ListRepositoryWorkflowRuns(ctx, t.Owner, t.Repo, &gh.ListWorkflowRunsOptions{
					Status: status, Created: created, ExcludePullRequests: true, ListOptions: options(at),
				})
			})
			if err != nil {
				return page[*gh.WorkflowRun]{}, err
			}
			if runs == nil || runs.TotalCount == nil || slices.ContainsFunc(runs.WorkflowRuns, func(r *gh.WorkflowRun) bool { return r.GetID() == 0 }) {
				return page[*gh.WorkflowRun]{}, empty(op)
			}
			return page[*gh.WorkflowRun]{items: runs.WorkflowRuns, total: runs.GetTotalCount(), next: res.NextPage}, nil
		},
	}.all(ctx)
}

// runJobs returns the jobs of a run's latest attempt that aren't completed; none when the run is gone meanwhile.
func (c *Client) runJobs(ctx context.Context, t runner.Target, run *gh.WorkflowRun) ([]runner.Job, error) {
	op := fmt.Sprintf("list jobs of run %d of %s", run.GetID(), t)
	jobs, err := listing[*gh.WorkflowJob]{
		op: op,
		id: func(j *gh.WorkflowJob) int64 { return j.GetID() },
		read: func(ctx context.Context, at int) (page[*gh.WorkflowJob], error) {
			jobs, res, err := do(ctx, c, op, polling, func(ctx context.Context) (*gh.Jobs, *gh.Response, error) {
				return c.gh.Actions.ListWorkflowJobs(ctx, t.Owner, t.Repo, run.GetID(), &gh.ListWorkflowJobsOptions{Filter: "latest", ListOptions: options(at)})
			})
			if err != nil {
				return page[*gh.WorkflowJob]{}, err
			}
			if jobs == nil || jobs.TotalCount == nil || slices.ContainsFunc(jobs.Jobs, func(j *gh.WorkflowJob) bool { return j.GetID() == 0 || j.GetStatus() == "" }) {
				return page[*gh.WorkflowJob]{}, empty(op)
			}
			return page[*gh.WorkflowJob]{items: jobs.Jobs, total: jobs.GetTotalCount(), next: res.NextPage}, nil
		},
	}.all(ctx)
	if errors.Is(err, NotFound) {
		return nil, nil // deleted since it was listed; the list itself just worked, so the token still sees the repository
	}
	if err != nil {
		return nil, err
	}
	var out []runner.Job
	for _, j := range jobs {
		if job := jobOf(t, run, j); job.Status != runner.JobCompleted {
			out = append(out, job)
		}
	}
	return out, nil
}

func jobOf(t runner.Target, run *gh.WorkflowRun, j *gh.WorkflowJob) runner.Job {
	return runner.Job{
		ID:         j.GetID(),
		RunID:      run.GetID(),
		Attempt:    int(j.GetRunAttempt()),
		Name:       j.GetName(),
		Workflow:   j.GetWorkflowName(),
		Target:     t,
		Labels:     j.Labels,
		Status:     runner.JobStatus(j.GetStatus()),
		CreatedAt:  j.GetCreatedAt().Time,
		RunnerID:   j.GetRunnerID(),
		RunnerName: j.GetRunnerName(),

		Event: run.GetEvent(), Fork: isFork(run), HeadRepository: run.GetHeadRepository().GetFullName(),
	}
}

// isFork reports whether a run's code is another repository's (OpenAPI, schema "workflow-run": repository and
// head_repository; the head's is null when a pull request's fork was deleted).
func isFork(run *gh.WorkflowRun) bool {
	head, base := run.GetHeadRepository(), run.GetRepository()
	switch {
	case head == nil:
		return strings.HasPrefix(run.GetEvent(), "pull_request")
	case head.GetID() != 0 && base.GetID() != 0:
		return head.GetID() != base.GetID()
	}
	return !strings.EqualFold(head.GetFullName(), base.GetFullName())
}

// check refuses a target that would make another path than the one meant.
func check(op string, t runner.Target) error {
	if t.Valid() {
		return nil
	}
	return &Error{Kind: Invalid, Op: op, Message: "the repository's name isn't OWNER/REPO", Hint: "for example NREL/EnergyPlus"}
}
