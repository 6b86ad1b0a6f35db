package gh

import (
	"fmt"
	"net/http"
	"strconv"
)

// rerunAll answers POST …/actions/runs/{run_id}/rerun: all jobs, in a new attempt, with new ids.
func (s *Server) rerunAll(c *call) reply {
	return s.rerun(c, s.findRun(c), func(*job) bool { return true })
}

// rerunFailed answers POST …/actions/runs/{run_id}/rerun-failed-jobs.
func (s *Server) rerunFailed(c *call) reply {
	return s.rerun(c, s.findRun(c), func(j *job) bool { return j.conclusion != concluSuccess })
}

// rerunJob answers POST …/actions/jobs/{job_id}/rerun.
func (s *Server) rerunJob(c *call) reply {
	j := s.findJob(c)
	if j == nil {
		return notFound(jobsDocs)
	}
	return s.rerun(c, j.run, func(x *job) bool { return x.spec.name == j.spec.name })
}

// rerun makes a new attempt of the chosen jobs of the newest one. The others are shown in it as they ended.
func (s *Server) rerun(c *call, r *run, choose func(*job) bool) reply {
	if r == nil {
		return notFound(runsDocs)
	}
	if status, _ := r.status(false); status != statusCompleted {
		return problem(http.StatusForbidden, "This workflow is already running", runsDocs)
	}
	var again, kept []*job
	for _, j := range r.latest() {
		if choose(j) {
			again = append(again, j)
		} else {
			kept = append(kept, j)
		}
	}
	if len(again) == 0 {
		return problem(http.StatusForbidden, "The workflow run has no failed jobs", runsDocs)
	}
	r.attempt++
	r.updated, r.attemptAt = c.now, append(r.attemptAt, c.now)
	for _, j := range kept { // a copy that is over already
		k := s.world.addJob(r, j.spec, j.status, j.created)
		s.world.open = s.world.open[:len(s.world.open)-1]
		k.conclusion, k.started, k.completed, k.runner, k.noRunner = j.conclusion, j.started, j.completed, j.runner, j.noRunner
	}
	for _, j := range again {
		s.world.addJob(r, j.spec, statusQueued, c.now)
	}
	s.world.match(c.now)
	s.world.wakeAll()
	return answer(http.StatusCreated, empty{})
}

// dispatch answers POST …/actions/workflows/{workflow_id}/dispatches, for workflows that have had a run: the new one
// has the same jobs.
func (s *Server) dispatch(c *call) reply {
	const docs = "actions/workflows"
	var body struct {
		Ref    *string        `json:"ref"`
		Inputs map[string]any `json:"inputs"`
		Tell   bool           `json:"return_run_details"`
	}
	if refusal, ok := c.decode(&body); !ok {
		return refusal
	}
	if body.Ref == nil || *body.Ref == "" {
		return invalid(`"ref" wasn't supplied.`)
	}
	var like *run
	for _, r := range c.repo.runs {
		if c.args["workflow_id"] == r.file() || c.args["workflow_id"] == strconv.FormatInt(r.workflowID(), 10) {
			like = r
		}
	}
	if like == nil {
		return notFound(docs)
	}
	spec := JobSpec{Workflow: like.workflow, Event: "workflow_dispatch", Branch: *body.Ref, Actor: c.token.login}
	r := s.world.addRun(c.repo, spec, c.now)
	for _, j := range like.latest() {
		s.world.addJob(r, j.spec, statusQueued, c.now)
	}
	s.world.match(c.now)
	s.world.wakeAll()
	if !body.Tell {
		return nothing(http.StatusNoContent)
	}
	return answer(http.StatusOK, struct {
		ID      int64  `json:"workflow_run_id"`
		RunURL  string `json:"run_url"`
		HTMLURL string `json:"html_url"`
	}{r.id, fmt.Sprintf("%s/repos/%s/actions/runs/%d", c.base(), c.repo, r.id), fmt.Sprintf("%s/%s/actions/runs/%d", c.web(), c.repo, r.id)})
}
