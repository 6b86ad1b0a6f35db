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
	s.world.advance(now)
	out := State{Now: now.UTC(), Jobs: []JobState{}, Runners: []RunnerState{}, Requests: append([]RequestRecord{}, s.requests...)}
	for _, j := range s.world.sortedJobs() {
		out.Jobs = append(out.Jobs, j.state())
	}
	for _, r := range s.world.sortedRunners() {
		out.Runners = append(out.Runners, r.state(now))
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
