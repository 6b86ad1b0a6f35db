package runner

import "time"

// JobStatus is GitHub's word for where a job is: "queued", "in_progress", "completed", "waiting", "requested" or
// "pending" (schema "job" of GET /repos/{owner}/{repo}/actions/runs/{run_id}/jobs).
type JobStatus string

// The statuses that Mayfly tells apart.
const (
	JobQueued     JobStatus = "queued"
	JobInProgress JobStatus = "in_progress"
	JobCompleted  JobStatus = "completed"
)

// Job is one job of a workflow run, as GitHub last told it. A re-run has a new ID.
type Job struct {
	ID       int64
	RunID    int64
	Attempt  int
	Name     string
	Workflow string
	Target   Target
	Labels   []string // as written in runs-on; GitHub compares them case-insensitively
	Status   JobStatus
	// Event is what started its run, as GitHub names it ("pull_request"); "" when that isn't known.
	Event string
	// Fork says that the code of its run is another repository's, HeadRepository which ("OWNER/REPO"; "" when it is
	// deleted). A job of a workflow_run that follows a fork's run isn't told from others here: only its payload says so.
	Fork           bool
	HeadRepository string
	CreatedAt      time.Time // when GitHub created it
	// RunnerID and RunnerName are set once a runner was assigned. GitHub writes 0, null or "" for none;
	// here none is always 0 and "".
	RunnerID   int64
	RunnerName string
}

// Waiting reports whether the job is queued and has no runner: the only jobs that ask for one.
func (j Job) Waiting() bool { return j.Status == JobQueued && j.RunnerID == 0 && j.RunnerName == "" }
