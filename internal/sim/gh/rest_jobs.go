package gh

import "net/http"

const jobsDocs = "actions/workflow-jobs"

// listJobs answers GET …/actions/runs/{run_id}/jobs.
func (s *Server) listJobs(c *call) reply {
	r := s.findRun(c)
	if r == nil {
		return notFound(jobsDocs)
	}
	switch c.query("filter") {
	case "", "latest":
		return s.jobList(c, r.latest())
	case "all":
		return s.jobList(c, r.jobs)
	}
	return problem(http.StatusUnprocessableEntity, "Validation Failed: filter is not included in the list", jobsDocs)
}

// listAttemptJobs answers GET …/actions/runs/{run_id}/attempts/{attempt_number}/jobs.
func (s *Server) listAttemptJobs(c *call) reply {
	r := s.findRun(c)
	n := c.number("attempt_number")
	if r == nil || n < 1 || n > int64(r.attempt) {
		return notFound(jobsDocs)
	}
	return s.jobList(c, r.ofAttempt(int(n)))
}

func (s *Server) jobList(c *call, all []*job) reply {
	return list(c, all, func(part []*job) any {
		out := make([]jobJSON, 0, len(part))
		for _, j := range part {
			out = append(out, s.renderJob(c, j))
		}
		return struct {
			TotalCount int       `json:"total_count"`
			Jobs       []jobJSON `json:"jobs"`
		}{len(all), out}
	})
}

// findJob is the job that the path names, of the repository that it names.
func (s *Server) findJob(c *call) *job {
	j := s.world.jobs[c.number("job_id")]
	if j == nil || j.run.repo != c.repo || s.world.runs[j.run.id] == nil { // a deleted run takes its jobs along
		return nil
	}
	return j
}

// getJob answers GET …/actions/jobs/{job_id}.
func (s *Server) getJob(c *call) reply {
	j := s.findJob(c)
	if j == nil {
		return notFound(jobsDocs)
	}
	return answer(200, s.renderJob(c, j))
}
