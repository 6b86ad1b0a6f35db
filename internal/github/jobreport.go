package github

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	gh "github.com/google/go-github/v88/github"

	"mayfly/internal/runner"
)

// JobReport is a job with what GitHub tells of its course.
type JobReport struct {
	runner.Job
	// Started is when a runner took it, Completed when it ended, by GitHub's clock; zero while that hasn't come.
	Started, Completed time.Time
	// Conclusion is "success", "failure", "cancelled", …; "" until it has ended.
	Conclusion string
	// URL is its page for people.
	URL string
}

// Job reads one job (GET /repos/{owner}/{repo}/actions/jobs/{job_id}). [NotFound] is one whose run was deleted, or that the
// token can't see. Event and Fork, which belong to its run, are not told.
func (c *Client) Job(ctx context.Context, t runner.Target, id int64) (JobReport, error) {
	op := fmt.Sprintf("get job %d of %s", id, t)
	if err := check(op, t); err != nil {
		return JobReport{}, err
	}
	j, _, err := do(ctx, c, op, look, func(ctx context.Context) (*gh.WorkflowJob, *gh.Response, error) {
		return c.gh.Actions.GetWorkflowJobByID(ctx, t.Owner, t.Repo, id)
	})
	switch {
	case err != nil:
		return JobReport{}, err
	case j == nil || j.GetID() == 0 || j.GetStatus() == "":
		return JobReport{}, &Error{Kind: Unavailable, Op: op, Status: http.StatusOK, Message: "the reply holds no job"}
	}
	return reportOf(t, nil, j), nil
}

// LastJobs reads the jobs of the newest completed runs, at most runs of them (GitHub gives up to 100), newest first: one
// request, and one for each run.
func (c *Client) LastJobs(ctx context.Context, t runner.Target, runs int) ([]JobReport, error) {
	op := "list last jobs of " + t.String()
	if err := check(op, t); err != nil {
		return nil, err
	}
	list, _, err := do(ctx, c, op, look, func(ctx context.Context) (*gh.WorkflowRuns, *gh.Response, error) {
		return c.gh.Actions.ListRepositoryWorkflowRuns(ctx, t.Owner, t.Repo, &gh.ListWorkflowRunsOptions{
			Status: "completed", ExcludePullRequests: true, ListOptions: gh.ListOptions{PerPage: runs},
		})
	})
	switch {
	case err != nil:
		return nil, err
	case list == nil || list.TotalCount == nil:
		return nil, empty(op)
	}
	var reports []JobReport
	for _, run := range list.WorkflowRuns {
		op := fmt.Sprintf("list jobs of run %d of %s", run.GetID(), t)
		jobs, _, err := do(ctx, c, op, look, func(ctx context.Context) (*gh.Jobs, *gh.Response, error) {
			return c.gh.Actions.ListWorkflowJobs(ctx, t.Owner, t.Repo, run.GetID(), &gh.ListWorkflowJobsOptions{
				Filter: "latest", ListOptions: gh.ListOptions{PerPage: perPage},
			})
		})
		switch {
		case err != nil:
			return nil, err
		case jobs == nil:
			return nil, empty(op)
		}
		for _, j := range jobs.Jobs {
			reports = append(reports, reportOf(t, run, j))
		}
	}
	slices.SortStableFunc(reports, func(a, b JobReport) int { return cmp.Compare(b.ID, a.ID) })
	return reports, nil
}

// reportOf is a job as told. GitHub writes started_at into jobs that only wait, too (it is their creation then).
func reportOf(t runner.Target, run *gh.WorkflowRun, j *gh.WorkflowJob) JobReport {
	r := JobReport{Job: jobOf(t, run, j), Completed: j.GetCompletedAt().Time, Conclusion: j.GetConclusion(), URL: j.GetHTMLURL()}
	r.RunID = j.GetRunID()
	if r.Status == runner.JobInProgress || r.Status == runner.JobCompleted && r.RunnerName != "" {
		r.Started = j.GetStartedAt().Time
	}
	return r
}
