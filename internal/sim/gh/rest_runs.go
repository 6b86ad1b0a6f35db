package gh

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const runsDocs = "actions/workflow-runs"

// runStatuses are what the filter "status" takes: statuses and conclusions (OpenAPI, parameter workflow-run-status).
var runStatuses = []string{
	"completed", "action_required", "cancelled", "failure", "neutral", "skipped", "stale", "success", "timed_out",
	"in_progress", "queued", "requested", "waiting", "pending",
}

// listRuns answers GET /repos/{owner}/{repo}/actions/runs: the newest first.
func (s *Server) listRuns(c *call) reply {
	want := c.query("status")
	if want != "" && !slices.Contains(runStatuses, want) {
		return problem(http.StatusUnprocessableEntity, "Validation Failed: status is not included in the list", runsDocs)
	}
	created, err := parseCreated(c.query("created"))
	if err != nil {
		return problem(http.StatusUnprocessableEntity, err.Error(), runsDocs)
	}
	filtered := want != "" || c.query("created") != ""
	var found []*run
	for _, r := range slices.Backward(c.repo.runs) {
		status, conclusion := r.status(s.opts.StartedRunsReadInProgress)
		if (want != "" && want != status && want != conclusion) || !created(r.created.Add(s.world.ahead)) {
			continue
		}
		keep := true
		for name, value := range map[string]string{"event": r.event, "branch": r.branch, "actor": r.actor, "head_sha": r.sha} {
			if q := c.query(name); q != "" {
				filtered = true
				keep = keep && strings.EqualFold(q, value)
			}
		}
		if q := c.query("check_suite_id"); q != "" {
			keep = keep && q == strconv.FormatInt(r.id+suiteOffset, 10)
		}
		if keep {
			found = append(found, r)
		}
	}
	if filtered && len(found) > maxFiltered {
		found = found[:maxFiltered]
	}
	return list(c, found, func(part []*run) any {
		out := make([]runJSON, 0, len(part))
		for _, r := range part {
			out = append(out, s.renderRun(c, r))
		}
		return struct {
			TotalCount int       `json:"total_count"`
			Runs       []runJSON `json:"workflow_runs"`
		}{len(found), out}
	})
}

// parseCreated reads GitHub's search syntax for dates: ">=2026-01-01", "2026-01-01..2026-02-01", "*..2026-01-01T10:00:00Z".
func parseCreated(q string) (func(time.Time) bool, error) {
	if q == "" {
		return func(time.Time) bool { return true }, nil
	}
	if from, to, ok := strings.Cut(q, ".."); ok {
		first, _, err1 := parseDate(from)
		_, last, err2 := parseDate(to)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("Validation Failed: %q is not a range of dates", q) //nolint:staticcheck // GitHub's words
		}
		return func(t time.Time) bool {
			return (from == "*" || !t.Before(first)) && (to == "*" || t.Before(last))
		}, nil
	}
	rest := strings.TrimLeft(q, "<>=")
	op := q[:len(q)-len(rest)]
	first, last, err := parseDate(rest)
	if err != nil || rest == "*" {
		return nil, fmt.Errorf("Validation Failed: %q is not a date", q) //nolint:staticcheck // GitHub's words
	}
	switch op {
	case ">":
		return func(t time.Time) bool { return !t.Before(last) }, nil
	case ">=":
		return func(t time.Time) bool { return !t.Before(first) }, nil
	case "<":
		return func(t time.Time) bool { return t.Before(first) }, nil
	case "<=":
		return func(t time.Time) bool { return t.Before(last) }, nil
	case "":
		return func(t time.Time) bool { return !t.Before(first) && t.Before(last) }, nil
	}
	return nil, fmt.Errorf("Validation Failed: %q is not a date", q) //nolint:staticcheck // GitHub's words
}

// parseDate gives the first moment of what s names and the first after it: a day, or a second.
func parseDate(s string) (first, after time.Time, err error) {
	if s == "*" {
		return first, after, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, t.AddDate(0, 0, 1), nil
	}
	t, err := time.Parse(time.RFC3339, strings.ReplaceAll(s, " ", "+")) // a "+" that wasn't escaped
	return t, t.Add(time.Second), err
}

// findRun is the run that the path names, of the repository that it names.
func (s *Server) findRun(c *call) *run {
	r := s.world.runs[c.number("run_id")]
	if r == nil || r.repo != c.repo {
		return nil
	}
	return r
}

// getRun answers GET …/actions/runs/{run_id}.
func (s *Server) getRun(c *call) reply {
	r := s.findRun(c)
	if r == nil {
		return notFound(runsDocs)
	}
	return answer(200, s.renderRun(c, r))
}

// deleteRun answers DELETE …/actions/runs/{run_id}: only a completed run can go.
func (s *Server) deleteRun(c *call) reply {
	r := s.findRun(c)
	if r == nil {
		return notFound(runsDocs)
	}
	if status, _ := r.status(false); status != statusCompleted {
		return problem(http.StatusForbidden, "Workflow run is still in progress and can't be deleted", runsDocs)
	}
	delete(s.world.runs, r.id)
	r.repo.runs = slices.DeleteFunc(r.repo.runs, func(x *run) bool { return x == r })
	return nothing(http.StatusNoContent)
}

// empty is the body of an accepted request that has nothing to say.
type empty struct{}

// cancelRun answers POST …/actions/runs/{run_id}/cancel.
func (s *Server) cancelRun(c *call) reply {
	r := s.findRun(c)
	if r == nil {
		return notFound(runsDocs)
	}
	if status, _ := r.status(false); status == statusCompleted {
		return problem(http.StatusConflict, "Cannot cancel a workflow run that is completed.", runsDocs)
	}
	for _, j := range r.latest() {
		if j.status != statusCompleted {
			s.world.cancelJob(j, c.now)
		}
	}
	return answer(http.StatusAccepted, empty{})
}

// forceCancelRun answers POST …/actions/runs/{run_id}/force-cancel: whatever the runner says.
func (s *Server) forceCancelRun(c *call) reply {
	r := s.findRun(c)
	if r == nil {
		return notFound(runsDocs)
	}
	if status, _ := r.status(false); status == statusCompleted {
		return problem(http.StatusConflict, "Cannot cancel a workflow run that is completed.", runsDocs)
	}
	for _, j := range r.latest() {
		if j.status != statusCompleted {
			s.world.finish(j, concluCancelled, "force-cancelled", c.now)
		}
	}
	return answer(http.StatusAccepted, empty{})
}
