package gh

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// What follows are things that GitHub, or somebody at it, does by itself, for tests.

// WithdrawNext has GitHub take the next jobs back at the moment that their runners start them, as from runners that are too slow:
// each job is queued again, and the registration of its runner is spent (actions/runner#4617). 0 ends it.
func (s *Server) WithdrawNext(jobs int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.withdrawn = jobs
}

// SetClock has the clock that clients see, in the Date of replies, in the rate limit and in runs and jobs, be ahead of the real
// one; negative is behind. A client whose own clock has jumped back sees the same.
func (s *Server) SetClock(ahead time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.ahead = ahead
}

// Steal has a runner of somebody else's take a job that isn't started, and end it with success after lasting. While it runs
// the job, that runner is listed like any other. It reports whether there was such a job.
func (s *Server) Steal(jobID int64, lasting time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, now := &s.world, time.Now()
	w.advance(now)
	j := w.jobs[jobID]
	if j == nil || j.status != statusQueued {
		return false
	}
	if r := j.runner; r != nil {
		r.job, r.idleSince = nil, now
	}
	id := w.id("runner")
	r := &registration{
		id: id, name: fmt.Sprintf("stranger-%d", id), owner: j.run.repo.owner, repo: j.run.repo.name, labels: distinct(j.spec.labels),
		groupID: defaultGroup, ephemeral: true, secret: seeded(w.opts.Seed, "runner", id).text(52), created: now, firstSeen: now, lastSeen: now,
		os: "Linux", session: &session{id: "elsewhere", owner: "elsewhere", polls: 1, notify: make(chan struct{}, 1)},
	}
	w.registrations[id] = r
	w.live = append(w.live, r)
	j.runner, j.assignedAt, j.told, r.job = r, now, true, j
	j.assigned++
	w.start(j, now)
	j.stolenTill = now.Add(lasting)
	w.match(now)
	w.wakeAll()
	return true
}

// DropRunner removes a registration as GitHub does by itself, job or not: its listener is told at its next poll. A job that
// it ran is lost when its lease is over. It reports whether there was one of that name.
func (s *Server) DropRunner(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.world.advance(now)
	for _, r := range s.world.live {
		if r.name == name {
			s.world.remove(r, "removed by GitHub", now)
			return true
		}
	}
	return false
}

// SetRunnerLag makes lists of runners show who was registered that long ago; 0 is now. Look-ups by id stay up to date.
func (s *Server) SetRunnerLag(lag time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.world.lag = lag
}

// listed are the registrations that a list of runners shows, in order of creation.
func (w *world) listed(now time.Time) []*registration {
	if w.lag == 0 {
		return w.live
	}
	then := now.Add(-w.lag)
	var out []*registration
	for _, r := range w.sortedRunners() {
		if !r.created.After(then) && (r.removed.IsZero() || r.removed.After(then)) {
			out = append(out, r)
		}
	}
	return out
}

// primary is the refusal of a token that has used up its hour.
func (s *Server) primary(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.now = time.Now()
	if refusal, ok := s.authenticate(c); !ok {
		return refusal
	}
	c.token.roll(c.now)
	rep := problem(s.opts.RateLimitStatus, fmt.Sprintf("API rate limit exceeded for user ID %d. If you reach out to GitHub Support for help, please include the request ID and timestamp.", c.token.id),
		"using-the-rest-api/rate-limits-for-the-rest-api")
	c.token.rateHeaders(rep.header, s.world.ahead)
	rep.header.Set("X-RateLimit-Remaining", "0")
	rep.header.Set("X-RateLimit-Used", strconv.Itoa(c.token.limit))
	return rep
}

// unpermitted is the refusal of a token that lacks what the call needs.
func (s *Server) unpermitted(c *call) reply {
	r, _, _ := find(s.routes, c.method, c.path)
	rep := forbidden(r)
	rep.header.Set("X-Accepted-GitHub-Permissions", r.need)
	return rep
}

// wantedName is the name that a registration is asked for.
func (c *call) wantedName() string {
	var body struct {
		Name string `json:"name"`
	}
	if c.method != http.MethodPost || json.Unmarshal(c.body, &body) != nil {
		return ""
	}
	return body.Name
}
