package gh

import "fmt"

// jobJSON is a job (OpenAPI, schema "job").
type jobJSON struct {
	ID              int64      `json:"id"`
	RunID           int64      `json:"run_id"`
	WorkflowName    string     `json:"workflow_name"`
	HeadBranch      string     `json:"head_branch"`
	RunURL          string     `json:"run_url"`
	RunAttempt      int        `json:"run_attempt"`
	NodeID          string     `json:"node_id"`
	HeadSHA         string     `json:"head_sha"`
	URL             string     `json:"url"`
	HTMLURL         string     `json:"html_url"`
	Status          string     `json:"status"`
	Conclusion      *string    `json:"conclusion"`
	CreatedAt       stamp      `json:"created_at"`
	StartedAt       stamp      `json:"started_at"`
	CompletedAt     *stamp     `json:"completed_at"`
	Name            string     `json:"name"`
	Steps           []stepJSON `json:"steps"`
	CheckRunURL     string     `json:"check_run_url"`
	Labels          []string   `json:"labels"`
	RunnerID        *int64     `json:"runner_id"`
	RunnerName      *string    `json:"runner_name"`
	RunnerGroupID   *int64     `json:"runner_group_id"`
	RunnerGroupName *string    `json:"runner_group_name"`
}

type stepJSON struct {
	Name        string  `json:"name"`
	Status      string  `json:"status"`
	Conclusion  *string `json:"conclusion"`
	Number      int     `json:"number"`
	StartedAt   *stamp  `json:"started_at"`
	CompletedAt *stamp  `json:"completed_at"`
}

// renderJob gives the job as the API shows it. runner_* are null until a runner was assigned; on a job that ended
// without one they are 0 and "" (actions/runner#4684).
func (s *Server) renderJob(c *call, j *job) jobJSON {
	api := c.base() + "/repos/" + j.run.repo.String()
	out := jobJSON{
		ID: j.id, RunID: j.run.id, WorkflowName: j.run.workflow, HeadBranch: j.run.branch,
		RunURL: fmt.Sprintf("%s/actions/runs/%d", api, j.run.id), RunAttempt: j.attempt, NodeID: nodeID("CR", j.id),
		HeadSHA: j.run.sha, URL: fmt.Sprintf("%s/actions/jobs/%d", api, j.id),
		HTMLURL: fmt.Sprintf("%s/%s/actions/runs/%d/job/%d", c.web(), j.run.repo, j.run.id, j.id),
		Status:  j.status, CreatedAt: s.world.shown(j.created), StartedAt: s.world.shown(j.created), CompletedAt: s.world.shownOrNil(j.completed),
		Name: j.spec.name, Steps: s.world.steps(j), CheckRunURL: fmt.Sprintf("%s/check-runs/%d", api, j.id),
		Labels: append([]string{}, j.spec.labels...),
	}
	if !j.started.IsZero() {
		out.StartedAt = s.world.shown(j.started)
	}
	if j.conclusion != "" {
		out.Conclusion = &j.conclusion
	}
	var (
		id, group       int64
		name, groupName string
	)
	switch {
	case j.runner != nil:
		id, name, group = j.runner.id, j.runner.name, j.runner.groupID
		groupName = s.world.groupName(j.runner.owner, group)
	case !j.noRunner:
		return out
	}
	out.RunnerID, out.RunnerName, out.RunnerGroupID, out.RunnerGroupName = &id, &name, &group, &groupName
	return out
}

// steps are the job's, framed by GitHub's own two.
func (w *world) steps(j *job) []stepJSON {
	out := []stepJSON{}
	if j.started.IsZero() {
		return out
	}
	names := []string{"Set up job"}
	for i, s := range j.spec.steps {
		names = append(names, s.title(i))
	}
	names = append(names, "Complete job")
	for i, name := range names {
		st := stepJSON{Name: name, Status: statusQueued, Number: i + 1}
		switch {
		case j.status == statusCompleted:
			st.Status, st.Conclusion, st.StartedAt, st.CompletedAt = statusCompleted, &j.conclusion, w.shownOrNil(j.started), w.shownOrNil(j.completed)
		case i == 0:
			done := concluSuccess
			st.Status, st.Conclusion, st.StartedAt, st.CompletedAt = statusCompleted, &done, w.shownOrNil(j.started), w.shownOrNil(j.started)
		case i == 1:
			st.Status, st.StartedAt = statusInProgress, w.shownOrNil(j.started)
		}
		out = append(out, st)
	}
	return out
}

// title is the step's name, or GitHub's for a step without one.
func (s StepSpec) title(i int) string {
	if s.Name != "" {
		return s.Name
	}
	if s.Run != "" {
		return "Run " + firstLine(s.Run)
	}
	return fmt.Sprintf("Step %d", i+1)
}

// groupName is the name of a runner group.
func (w *world) groupName(owner string, id int64) string {
	if g := w.group(owner, id); g != nil {
		return g.name
	}
	return "Default"
}
