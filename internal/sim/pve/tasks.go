package pve

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var (
	// errInterrupted is what a worker's own clean-up says when it was told to stop, errReceived what the others say
	// (RESTEnvironment.pm, fork_worker).
	errInterrupted = errors.New("interrupted by signal")
	errReceived    = errors.New("received interrupt")
	// errKilled is a worker that ended without a word: SIGKILL, or the node's death.
	errKilled = errors.New("killed")
)

// task is a worker process and its log. Server.mu guards its fields.
type task struct {
	upid     string
	node     string
	kind     string // "qmclone"
	id       string // "9000", "" for uploads
	token    *token
	pid      int
	pstart   int64
	start    time.Time
	end      time.Time // zero while it runs; as shown, like start
	ended    time.Time // in truth
	exit     string
	log      []string
	warnings int

	cancel context.CancelFunc
	done   chan struct{} // closed when it ended
}

func (t *task) running() bool { return t.end.IsZero() }

// worker is a task from inside.
type worker struct {
	s    *Server
	task *task
	auth *token
	node *node
	// newid is the VM that a clone makes; its task bears the template's id.
	newid int
	// keepDisks is why a removal can't free the disks ("leak"); "" frees them.
	keepDisks string
}

// say adds a line to the task's log.
func (w *worker) say(line string) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.task.log = append(w.task.log, strings.Split(strings.TrimRight(line, "\n"), "\n")...)
}

// warn is say, and makes the task end with "WARNINGS: n".
func (w *worker) warn(line string) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.task.log = append(w.task.log, "WARN: "+line)
	w.task.warnings++
}

// fork starts a worker for fn and returns its UPID. The worker outlives the request; the server's end kills it, which
// leaves what it had done.
func (s *Server) fork(nodeName, kind, id string, auth *token, fn func(ctx context.Context, w *worker) error) string {
	return s.forkFor(0, nodeName, kind, id, auth, fn)
}

// forkFor is fork for a worker that makes another VM than the one its task is named after.
func (s *Server) forkFor(newid int, nodeName, kind, id string, auth *token, fn func(ctx context.Context, w *worker) error) string {
	s.lock()
	n := s.nodes[nodeName]
	ctx, cancel := context.WithCancel(n.ctx)
	now := s.clock()
	n.pids += 3 + int(s.random()%7)
	t := &task{
		node: nodeName, kind: kind, id: id, token: auth, pid: n.pids,
		pstart: int64(time.Since(n.boot) / (10 * time.Millisecond)), start: now,
		cancel: cancel, done: make(chan struct{}),
	}
	t.upid = fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%s:%s:%s:", nodeName, t.pid, t.pstart, now.Unix(), kind, id, auth.id)
	s.tasks = append(s.tasks, t)
	s.noteLocked(nodeName, auth, "starting task "+t.upid)
	s.mu.Unlock()

	s.workers.Add(1)
	go func() {
		defer s.workers.Done()
		defer cancel()
		w := &worker{s: s, task: t, auth: auth, node: n, newid: newid}
		err := w.point(ctx, pointStart)
		if err == nil {
			err = fn(ctx, w)
		}
		if errors.Is(err, context.Canceled) {
			err = errReceived
		}
		err = died(ctx, err)
		s.finish(t, err)
	}()
	return t.upid
}

func (s *Server) finish(t *task, err error) {
	s.lock()
	defer s.mu.Unlock()
	switch {
	case err != nil && killed(s.ctx, err):
		t.exit = "unexpected status"
	case err != nil:
		t.exit = taskText(err)
		t.log = append(t.log, "TASK ERROR: "+t.exit)
	case t.warnings > 0:
		t.exit = fmt.Sprintf("WARNINGS: %d", t.warnings)
		t.log = append(t.log, "TASK "+t.exit)
	default:
		t.exit = "OK"
		t.log = append(t.log, "TASK OK")
	}
	t.end, t.ended = s.clock(), time.Now()
	s.noteLocked(t.node, t.token, "end task "+t.upid+" "+t.exit)
	close(t.done)
}

// killed reports whether a worker ended without a chance to clean up: the server ended, or a fault killed it.
func killed(server context.Context, err error) bool {
	return server.Err() != nil || errors.Is(err, errKilled)
}

// died gives the end of a worker whose node died under it, whatever it made of that itself; err else.
func died(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errKilled) {
		return errKilled
	}
	return err
}

// upidParts splits a UPID; ok is false when it isn't one.
func upidParts(upid string) (node, kind, id string, start time.Time, ok bool) {
	f := strings.Split(upid, ":")
	if len(f) != 9 || f[0] != "UPID" || f[8] != "" || f[1] == "" || f[5] == "" || f[7] == "" {
		return "", "", "", time.Time{}, false
	}
	for _, hex := range f[2:5] {
		if len(hex) < 8 || len(hex) > 9 {
			return "", "", "", time.Time{}, false
		}
		if _, err := strconv.ParseUint(hex, 16, 64); err != nil {
			return "", "", "", time.Time{}, false
		}
	}
	sec, _ := strconv.ParseInt(f[4], 16, 64)
	return f[1], f[5], f[6], time.Unix(sec, 0), true
}

// findTask returns the task that a call names.
func (s *Server) findTask(q *call) (*task, *apiError) {
	upid := q.params.str("upid")
	node, _, _, _, ok := upidParts(upid)
	if !ok {
		return nil, badParam("upid", "unable to parse worker upid")
	}
	if node == q.params.str("node") {
		for _, t := range s.tasks {
			if t.upid == upid {
				return t, nil
			}
		}
	}
	return nil, badParam("upid", "no such task")
}

// mayRead admits a token to its own tasks, and others with Sys.Audit on the node.
func (s *Server) mayRead(auth *token, t *task) *apiError {
	if t.token.id == auth.id {
		return nil
	}
	return s.require(auth, "/nodes/"+t.node, "Sys.Audit")
}

func (s *Server) taskStatus(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	t, err := s.findTask(q)
	if err != nil {
		return nil, err
	}
	if err := s.mayRead(q.token, t); err != nil {
		return nil, err
	}
	out := t.entry()
	out["status"] = "stopped"
	if t.running() {
		out["status"] = "running"
	} else {
		out["exitstatus"] = t.exit
	}
	return out, nil
}

// entry is what every view of a task has.
func (t *task) entry() map[string]any {
	return map[string]any{
		"upid": t.upid, "node": t.node, "type": t.kind, "id": t.id, "user": t.token.user(), "tokenid": t.token.name(),
		"pid": t.pid, "pstart": t.pstart, "starttime": t.start.Unix(),
	}
}

func (s *Server) taskLog(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	t, err := s.findTask(q)
	if err != nil {
		return nil, err
	}
	if err := s.mayRead(q.token, t); err != nil {
		return nil, err
	}
	first, limit := q.params.num("start", 0), q.params.num("limit", 50)
	q.total = len(t.log)
	lines := []any{}
	for i := first; i < len(t.log) && (limit == 0 || i < first+limit); i++ {
		lines = append(lines, map[string]any{"n": i + 1, "t": t.log[i]})
	}
	if len(t.log) == 0 {
		lines = append(lines, map[string]any{"n": 1, "t": "no content"})
		q.total = 1
	}
	return lines, nil
}

// taskIndex is GET /nodes/{node}/tasks/{upid}: what there is below.
func (s *Server) taskIndex(*call) (any, error) {
	return []any{map[string]any{"name": "log"}, map[string]any{"name": "status"}}, nil
}

// stopTask interrupts a worker. It is told to stop, and has a while to clean up.
func (s *Server) stopTask(q *call) (any, error) {
	s.lock()
	t, err := s.findTask(q)
	if err == nil && t.token.id != q.token.id {
		err = s.require(q.token, "/nodes/"+t.node, "Sys.Modify")
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	t.cancel()
	timer := time.NewTimer(s.opts.Timing.StopGrace)
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C:
	case <-q.ctx.Done():
	}
	return nil, nil
}
