package gh

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// runJSON is a workflow run (OpenAPI, schema "workflow-run").
type runJSON struct {
	ID                  int64             `json:"id"`
	Name                string            `json:"name"`
	NodeID              string            `json:"node_id"`
	HeadBranch          string            `json:"head_branch"`
	HeadSHA             string            `json:"head_sha"`
	Path                string            `json:"path"`
	DisplayTitle        string            `json:"display_title"`
	RunNumber           int               `json:"run_number"`
	Event               string            `json:"event"`
	Status              string            `json:"status"`
	Conclusion          *string           `json:"conclusion"`
	WorkflowID          int64             `json:"workflow_id"`
	CheckSuiteID        int64             `json:"check_suite_id"`
	CheckSuiteNodeID    string            `json:"check_suite_node_id"`
	URL                 string            `json:"url"`
	HTMLURL             string            `json:"html_url"`
	PullRequests        []struct{}        `json:"pull_requests"`
	CreatedAt           stamp             `json:"created_at"`
	UpdatedAt           stamp             `json:"updated_at"`
	Actor               json.RawMessage   `json:"actor"`
	RunAttempt          int               `json:"run_attempt"`
	ReferencedWorkflows []json.RawMessage `json:"referenced_workflows"`
	RunStartedAt        stamp             `json:"run_started_at"`
	TriggeringActor     json.RawMessage   `json:"triggering_actor"`
	JobsURL             string            `json:"jobs_url"`
	LogsURL             string            `json:"logs_url"`
	CheckSuiteURL       string            `json:"check_suite_url"`
	ArtifactsURL        string            `json:"artifacts_url"`
	CancelURL           string            `json:"cancel_url"`
	RerunURL            string            `json:"rerun_url"`
	PreviousAttemptURL  *string           `json:"previous_attempt_url"`
	WorkflowURL         string            `json:"workflow_url"`
	HeadCommit          commitJSON        `json:"head_commit"`
	Repository          json.RawMessage   `json:"repository"`
	HeadRepository      json.RawMessage   `json:"head_repository"`
}

type commitJSON struct {
	ID        string     `json:"id"`
	TreeID    string     `json:"tree_id"`
	Message   string     `json:"message"`
	Timestamp stamp      `json:"timestamp"`
	Author    personJSON `json:"author"`
	Committer personJSON `json:"committer"`
}

type personJSON struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// stamp is a time as GitHub writes it: in UTC, to the second.
type stamp time.Time

// MarshalJSON implements [json.Marshaler].
func (t stamp) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(`"2006-01-02T15:04:05Z"`)), nil
}

// shown is a time of a run or a job by the clock that clients see.
func (w *world) shown(t time.Time) stamp { return stamp(t.Add(w.ahead)) }

// shownOrNil is null for no time.
func (w *world) shownOrNil(t time.Time) *stamp {
	if t.IsZero() {
		return nil
	}
	s := w.shown(t)
	return &s
}

// nodeID looks like GitHub's global ids.
func nodeID(kind string, id int64) string {
	return kind + "_" + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d", id))
}

// suiteOffset makes the id of a run's check suite.
const suiteOffset = 10_000_000_000

// renderRun gives the run as the API shows it.
func (s *Server) renderRun(c *call, r *run) runJSON {
	api := c.base() + "/repos/" + r.repo.String()
	url := fmt.Sprintf("%s/actions/runs/%d", api, r.id)
	status, conclusion := r.status(s.opts.StartedRunsReadInProgress)
	suite := r.id + suiteOffset
	actor := s.world.renderUser(c, r.actor, "User")
	repo := s.world.renderRepository(c, r.repo)
	out := runJSON{
		ID: r.id, Name: r.workflow, NodeID: nodeID("WFR", r.id), HeadBranch: r.branch, HeadSHA: r.sha,
		Path: ".github/workflows/" + r.file(), DisplayTitle: "Change the thing", RunNumber: r.number, Event: r.event,
		Status: status, WorkflowID: r.workflowID(), CheckSuiteID: suite, CheckSuiteNodeID: nodeID("CS", suite), URL: url,
		HTMLURL: fmt.Sprintf("%s/%s/actions/runs/%d", c.web(), r.repo, r.id), PullRequests: []struct{}{},
		CreatedAt: s.world.shown(r.created), UpdatedAt: s.world.shown(r.updated), Actor: actor, RunAttempt: r.attempt,
		ReferencedWorkflows: []json.RawMessage{}, RunStartedAt: s.world.shown(r.attemptAt[r.attempt-1]), TriggeringActor: actor,
		JobsURL: url + "/jobs", LogsURL: url + "/logs", CheckSuiteURL: fmt.Sprintf("%s/check-suites/%d", api, suite),
		ArtifactsURL: url + "/artifacts", CancelURL: url + "/cancel", RerunURL: url + "/rerun",
		WorkflowURL: fmt.Sprintf("%s/actions/workflows/%d", api, r.workflowID()),
		HeadCommit: commitJSON{
			ID: r.sha, TreeID: seeded(s.opts.Seed, "tree", r.id).hex(40), Message: "Change the thing", Timestamp: s.world.shown(r.created),
			Author: personJSON{r.actor, r.actor + "@users.noreply.github.com"}, Committer: personJSON{"GitHub", "noreply@github.com"},
		},
		Repository: repo, HeadRepository: s.world.headOfRun(c, r),
	}
	if conclusion != "" {
		out.Conclusion = &conclusion
	}
	if r.attempt > 1 {
		prev := fmt.Sprintf("%s/attempts/%d", url, r.attempt-1)
		out.PreviousAttemptURL = &prev
	}
	return out
}

// file is the name of the workflow's file.
func (r *run) file() string {
	return strings.ReplaceAll(strings.ToLower(r.workflow), " ", "-") + ".yml"
}

// workflowID is the same for all runs of a workflow.
func (r *run) workflowID() int64 {
	return int64(seeded(0, "workflow", r.repo.id, r.file())%1_000_000_000) + 1 //nolint:gosec // below 2^31
}

// latest are the jobs of the run's newest attempt.
func (r *run) latest() []*job { return r.ofAttempt(r.attempt) }

func (r *run) ofAttempt(n int) []*job {
	var out []*job
	for _, j := range r.jobs {
		if j.attempt == n {
			out = append(out, j)
		}
	}
	return out
}

// status of a run is that of its least advanced job; cli/cli#13972 saw "queued" on a run with jobs that executed. With
// eager, a run that has begun reads "in_progress" although some of its jobs are queued: that has been seen, too.
func (r *run) status(eager bool) (status, conclusion string) {
	order := []string{statusRequested, statusWaiting, statusPending, statusQueued, statusInProgress, statusCompleted}
	seen := map[string]bool{}
	conclusion = concluSuccess
	for _, j := range r.latest() {
		seen[j.status] = true
		switch {
		case j.conclusion == concluFailure:
			conclusion = concluFailure
		case j.conclusion == concluCancelled && conclusion == concluSuccess:
			conclusion = concluCancelled
		}
	}
	for _, status := range order[:len(order)-1] {
		if !seen[status] {
			continue
		}
		if eager && status == statusQueued && (seen[statusInProgress] || seen[statusCompleted]) {
			return statusInProgress, ""
		}
		return status, ""
	}
	return statusCompleted, conclusion
}
