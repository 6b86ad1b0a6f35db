package gh

import (
	"slices"
	"time"
)

// State tells all that happened so far.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	return State{Now: now.UTC(), Jobs: s.jobStates(now), Runners: s.runnerStates(now), Requests: append([]RequestRecord{}, s.requests...)}
}

// Jobs is [State]'s part of that name, without the cost of the others.
func (s *Server) Jobs() []JobState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobStates(time.Now())
}

// Runners is [State]'s part of that name.
func (s *Server) Runners() []RunnerState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.runnerStates(time.Now())
}

func (s *Server) jobStates(now time.Time) []JobState {
	s.world.advance(now)
	out := []JobState{}
	for _, j := range s.world.sortedJobs() {
		out = append(out, j.state())
	}
	return out
}

func (s *Server) runnerStates(now time.Time) []RunnerState {
	s.world.advance(now)
	out := []RunnerState{}
	for _, r := range s.world.sortedRunners() {
		out = append(out, r.state(now))
	}
	return out
}

func (j *job) state() JobState {
	out := JobState{
		ID: j.id, RunID: j.run.id, Attempt: j.attempt, Name: j.spec.name, Repository: j.run.repo.String(),
		Labels: slices.Clone(j.spec.labels), Status: j.status, Conclusion: j.conclusion, Reason: j.reason,
		CreatedAt: j.created.UTC(), AssignedAt: j.assignedAt.UTC(), StartedAt: j.started.UTC(), CompletedAt: j.completed.UTC(),
		Assigned: j.assigned, Starts: j.starts, Log: j.log.String(),
	}
	if j.runner != nil {
		out.RunnerID, out.RunnerName = j.runner.id, j.runner.name
	}
	return out
}

func (r *registration) state(now time.Time) RunnerState {
	scope := r.owner
	if r.repo != "" {
		scope += "/" + r.repo
	}
	return RunnerState{
		ID: r.id, Name: r.name, Scope: scope, Labels: slices.Clone(r.labels), Ephemeral: r.ephemeral, Version: r.version,
		Online: r.removed.IsZero() && r.online(now), Busy: r.busy(),
		CreatedAt: r.created.UTC(), FirstSeen: r.firstSeen.UTC(), LastSeen: r.lastSeen.UTC(),
		RemovedAt: r.removed.UTC(), RemovedWhy: r.removedWhy, Jobs: append([]int64{}, r.jobs...),
	}
}
