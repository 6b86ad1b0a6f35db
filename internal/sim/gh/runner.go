package gh

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/sim/runnerproto"
)

// runnerPath is where runners talk to us: the path of ServerUrlV2.
const runnerPath = "/_runner"

// runner answers a request of the runner protocol (see sim/runnerproto).
func (s *Server) runner(c *call) reply {
	parts := strings.Split(strings.TrimPrefix(c.path, runnerPath+"/"), "/")
	if c.method == http.MethodGet && len(parts) == 1 && parts[0] == "message" {
		return s.poll(c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, refusal, ok := s.caller(c)
	if !ok {
		return refusal
	}
	switch {
	case c.method == http.MethodPost && len(parts) == 1 && parts[0] == "sessions":
		return s.openSession(c, r)
	case c.method == http.MethodDelete && len(parts) == 2 && parts[0] == "sessions":
		return s.closeSession(c, r, parts[1])
	case c.method == http.MethodPost && len(parts) == 3 && parts[0] == "jobs":
		id, err := strconv.ParseInt(parts[1], 10, 64)
		if err == nil {
			return s.jobCall(c, r, s.world.jobs[id], parts[2])
		}
	}
	return refuse(http.StatusNotFound, "VssServiceResponseException", "There is no such address.")
}

// caller finds whose token it is, at the time of the call.
func (s *Server) caller(c *call) (*registration, reply, bool) {
	c.now = time.Now()
	s.world.advance(c.now)
	scheme, secret, _ := strings.Cut(c.header.Get("Authorization"), " ")
	r := s.world.bySecret[strings.TrimSpace(secret)]
	if r == nil || !strings.EqualFold(scheme, "bearer") {
		return nil, refuse(http.StatusUnauthorized, typeUnauthorized, "The runner's token is unknown."), false
	}
	return r, reply{}, true
}

// gone is the refusal of a runner that was removed.
func gone(r *registration) reply {
	return refuse(http.StatusNotFound, typeAgentGone, fmt.Sprintf("Runner %s (id %d) was not found.", r.name, r.id))
}

// openSession answers POST …/sessions: from now on the runner is online and may be given a job.
func (s *Server) openSession(c *call, r *registration) reply {
	var body runnerproto.SessionRequest
	if refusal, ok := c.decode(&body); !ok {
		return refusal
	}
	switch {
	case !r.removed.IsZero():
		return gone(r)
	case older(body.RunnerVersion, s.opts.OldestRunner): // the words of actions/runner#3653
		return refuse(http.StatusForbidden, typeDeprecated, fmt.Sprintf("Runner version v%s is deprecated and cannot receive messages.", body.RunnerVersion))
	case r.online(c.now):
		return refuse(http.StatusConflict, typeConflict, fmt.Sprintf("The actions runner %s already has an active session for owner %s.", r.name, r.session.owner))
	}
	r.session.wake() // whoever still polls the old one
	r.session = &session{
		id: seeded(s.opts.Seed, "session", r.id, s.world.id("session")).hex(32), owner: body.OwnerName, notify: make(chan struct{}, 1),
	}
	if r.firstSeen.IsZero() {
		r.firstSeen = c.now
	}
	r.lastSeen, r.idleSince, r.version, r.os = c.now, c.now, body.RunnerVersion, osName(body.OS)
	s.opts.Logger.Info("runner online", "runner", r.name)
	s.world.match(c.now)
	s.world.wakeAll()
	return answer(http.StatusOK, runnerproto.Session{SessionID: r.session.id})
}

// osName spells an operating system as the API does.
func osName(s string) string {
	switch strings.ToLower(s) {
	case "linux":
		return "Linux"
	case "windows":
		return "Windows"
	case "macos", "darwin":
		return "macOS"
	}
	return "unknown"
}

// closeSession answers DELETE …/sessions/{id}. Closing what is closed is no error.
func (s *Server) closeSession(c *call, r *registration, id string) reply {
	if r.session != nil && r.session.id == id {
		r.lastSeen = c.now
		r.session.wake()
		r.session = nil
		s.opts.Logger.Info("runner offline", "runner", r.name)
	}
	return nothing(http.StatusNoContent)
}

// poll answers GET …/message: at once with what there is for the runner, else when something comes, with nothing when
// the time that the runner asked for is over.
func (s *Server) poll(c *call) reply {
	wait := runnerproto.MaxPoll
	if q := c.query("timeout"); q != "" {
		n, err := strconv.ParseFloat(q, 64)
		if err != nil || n < 0 {
			return refuse(http.StatusBadRequest, typeInvalid, "The timeout is a number of seconds.")
		}
		wait = min(wait, time.Duration(n*float64(time.Second)))
	}
	s.mu.Lock()
	r, refusal, ok := s.caller(c)
	if ok {
		refusal, ok = pollable(c, r)
	}
	if !ok {
		s.mu.Unlock()
		return refusal
	}
	until, sess := c.now.Add(wait), r.session
	sess.polls++
	s.mu.Unlock()
	for {
		rep, look, done := s.look(c, r, sess, until)
		if done {
			return rep
		}
		if !s.await(c, sess, look) {
			return s.leave(r, sess)
		}
	}
}

// pollable refuses a poll without a good session. A registration that went to waste is never told (see waste).
func pollable(c *call, r *registration) (reply, bool) {
	switch {
	case !r.removed.IsZero() && !r.consumed:
		return gone(r), false
	case r.session == nil || r.session.id != c.query("sessionId"):
		return refuse(http.StatusConflict, typeExpired, "The session is not this runner's."), false
	}
	return reply{}, true
}

// look is one look of a poll at the world: the reply, or until when to wait for the next look.
func (s *Server) look(c *call, r *registration, sess *session, until time.Time) (rep reply, next time.Time, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &s.world
	c.now = time.Now()
	w.advance(c.now)
	w.match(c.now)
	over := func(rep reply) (reply, time.Time, bool) {
		sess.polls--
		r.lastSeen = c.now
		return rep, time.Time{}, true
	}
	select {
	case <-c.gone: // nobody is there to take a message
		return over(reply{reset: true})
	default:
	}
	switch {
	case r.session != sess: // closed, or another one was opened
		return over(nothing(http.StatusAccepted))
	case !r.removed.IsZero() && !r.consumed && !r.served:
		return over(gone(r))
	}
	if m := s.message(c, r); m != nil {
		return over(answer(http.StatusOK, m))
	}
	if !c.now.Before(until) {
		return over(nothing(http.StatusAccepted))
	}
	next = until
	if at, ok := w.nextLook(c.now); ok && at.Before(next) {
		next = at
	}
	return reply{}, next, false
}

// await waits for the next look; false means that the client or the server ended.
func (s *Server) await(c *call, sess *session, next time.Time) bool {
	t := time.NewTimer(time.Until(next))
	defer t.Stop()
	select {
	case <-t.C:
	case <-sess.notify:
	case <-c.gone:
		return false
	case <-s.ctx.Done():
		return false
	}
	return true
}

// leave ends a poll that nobody waits for any more.
func (s *Server) leave(r *registration, sess *session) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess.polls--
	r.lastSeen = time.Now()
	return reply{reset: true}
}

// message is what the runner is to be told now, once: a job that it was assigned, or that its job is to be cancelled. A
// message whose reply is lost isn't sent again; the job is queued again when it isn't started in time.
func (s *Server) message(c *call, r *registration) *runnerproto.Message {
	j := r.job
	switch {
	case j == nil:
	case j.status == statusQueued && !j.told:
		j.told, r.told = true, j.id
		return s.jobMessage(c, j)
	case j.status == statusInProgress && !j.cancelAt.IsZero() && !j.cancelTold:
		j.cancelTold = true
		return &runnerproto.Message{Type: runnerproto.JobCancellation, JobID: j.id, RunID: j.run.id, Name: j.spec.name}
	}
	return nil
}

func (s *Server) jobMessage(c *call, j *job) *runnerproto.Message {
	m := &runnerproto.Message{
		Type: runnerproto.JobRequest, JobID: j.id, RunID: j.run.id, Name: j.spec.name, Workflow: j.run.workflow,
		Repository: j.run.repo.String(), ServerURL: c.web(), APIURL: c.web() + "/api/v3", Event: j.run.event, Actor: j.run.actor,
		Ref: "refs/heads/" + j.run.branch, SHA: j.run.sha, Attempt: j.attempt, RunNumber: j.run.number,
		Payload: s.world.payload(c, j.run),
		Steps:   []runnerproto.Step{}, Env: j.spec.env, DurationMS: j.spec.duration.Milliseconds(), Fail: j.spec.fail,
	}
	for i, st := range j.spec.steps {
		m.Steps = append(m.Steps, runnerproto.Step{Name: st.title(i), Run: st.Run, If: st.If})
	}
	return m
}

// older compares versions like "2.335.1"; what isn't a version is older than any, and nothing is older than "".
func older(version, than string) bool {
	if than == "" {
		return false
	}
	a, b := strings.Split(version, "."), strings.Split(than, ".")
	for i := range b {
		want, _ := strconv.Atoi(b[i])
		have := -1
		if i < len(a) {
			if n, err := strconv.Atoi(a[i]); err == nil {
				have = n
			}
		}
		if have != want {
			return have < want
		}
	}
	return false
}
