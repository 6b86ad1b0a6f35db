package gh

import (
	"net/http"

	"mayfly/internal/sim/runnerproto"
)

// maxLog bounds what is kept of a job's log, in bytes.
const maxLog = 1 << 20

// conclusions are the results of runners in the API's words.
var conclusions = map[runnerproto.Result]string{
	runnerproto.Succeeded: concluSuccess, runnerproto.Failed: concluFailure, runnerproto.Cancelled: concluCancelled,
}

// jobCall answers POST …/jobs/{id}/{verb}.
func (s *Server) jobCall(c *call, r *registration, j *job, verb string) reply {
	if r.removed.IsZero() {
		r.lastSeen = c.now
	}
	switch verb {
	case "start":
		return s.startJob(c, r, j)
	case "renew":
		return s.renewJob(c, r, j)
	case "log":
		return s.logJob(c, r, j)
	case "complete":
		return s.completeJob(c, r, j)
	}
	return refuse(http.StatusNotFound, "VssServiceResponseException", "There is no such address.")
}

// runs reports whether r runs j now.
func (r *registration) runs(j *job) bool {
	return j != nil && r.job == j && j.status == statusInProgress
}

// lost is the refusal of a call about a job that isn't the runner's.
func lost(j *job) reply {
	if j == nil {
		return refuse(http.StatusNotFound, typeJobGone, "There is no such job.")
	}
	return refuse(http.StatusConflict, typeJobGone, "The job is not assigned to this runner.")
}

// startJob answers start: the job is in progress from now on. A repeat changes nothing. A runner that comes too late has
// wasted a registration that was good for one job (actions/runner#4617).
func (s *Server) startJob(c *call, r *registration, j *job) reply {
	switch {
	case r.runs(j):
	case j != nil && r.job == j && j.status == statusQueued && r.ephemeral && s.world.withdrawn > 0:
		s.world.withdrawn--
		s.world.waste(r, c.now)
		s.world.wakeAll()
		return lost(j)
	case j != nil && r.job == j && j.status == statusQueued:
		s.world.start(j, c.now)
	default:
		if r.removed.IsZero() && r.ephemeral && !r.busy() && j != nil && r.told == j.id {
			s.world.waste(r, c.now)
			s.world.wakeAll()
		}
		return lost(j)
	}
	return answer(http.StatusOK, empty{})
}

// renewJob answers renew: the lease begins anew.
func (s *Server) renewJob(c *call, r *registration, j *job) reply {
	if !r.runs(j) {
		return lost(j)
	}
	j.leaseUntil = c.now.Add(s.opts.Lease)
	return answer(http.StatusOK, runnerproto.Lease{LockedUntil: j.leaseUntil.UTC(), Cancelled: !j.cancelAt.IsZero()})
}

// logJob answers log.
func (s *Server) logJob(c *call, r *registration, j *job) reply {
	var body runnerproto.LogRequest
	if refusal, ok := c.decode(&body); !ok {
		return refusal
	}
	if !r.runs(j) {
		return lost(j)
	}
	j.log.WriteString(body.Text[:min(len(body.Text), maxLog-j.log.Len())])
	return answer(http.StatusOK, empty{})
}

// completeJob answers complete: the job is over, and so is a registration that was good for one. A repeat, as after a
// lost reply, changes nothing.
func (s *Server) completeJob(c *call, r *registration, j *job) reply {
	var body runnerproto.CompleteRequest
	if refusal, ok := c.decode(&body); !ok {
		return refusal
	}
	conclusion, known := conclusions[body.Result]
	switch {
	case !known:
		return refuse(http.StatusBadRequest, typeInvalid, "The result is succeeded, failed or cancelled.")
	case j != nil && j.runner == r && j.byRunner:
		return answer(http.StatusOK, empty{})
	case !r.runs(j):
		return lost(j)
	}
	j.byRunner, r.served = true, r.ephemeral
	s.world.finish(j, conclusion, "", c.now)
	return answer(http.StatusOK, empty{})
}
