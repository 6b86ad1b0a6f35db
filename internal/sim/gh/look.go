package gh

import (
	"slices"
	"time"
)

// RunnerLook is what GitHub knows of one registration at the moment.
type RunnerLook struct {
	ID int64
	// Job is the job that it runs; 0 when it runs none. Started is since when.
	Job     int64
	Started time.Time
}

// Look finds the registration of that name that wasn't removed. Unlike State it copies nothing else.
func (s *Server) Look(name string) (RunnerLook, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.advance(time.Now())
	for _, r := range s.world.live {
		if r.name != name {
			continue
		}
		look := RunnerLook{ID: r.id}
		if r.busy() {
			look.Job, look.Started = r.job.id, r.job.started
		}
		return look, true
	}
	return RunnerLook{}, false
}

// JobLook is what GitHub knows of one job that isn't completed.
type JobLook struct {
	ID     int64
	Status string
	Queued time.Time // when it became queued last
	Labels []string
	Runner string // whom it is assigned to, or who runs it; "" for nobody
}

// OpenJobs are the jobs that aren't completed, in order of creation.
func (s *Server) OpenJobs() []JobLook {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.advance(time.Now())
	out := make([]JobLook, 0, len(s.world.open))
	for _, j := range s.world.open {
		l := JobLook{ID: j.id, Status: j.status, Queued: j.queued, Labels: slices.Clone(j.spec.labels)}
		if j.runner != nil {
			l.Runner = j.runner.name
		}
		out = append(out, l)
	}
	return out
}

// RunnersLeft counts the registrations that weren't removed.
func (s *Server) RunnersLeft() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.advance(time.Now())
	return len(s.world.live)
}
