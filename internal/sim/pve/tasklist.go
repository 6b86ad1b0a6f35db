package pve

import (
	"slices"
	"strings"
	"time"
)

// listTasks is GET /nodes/{node}/tasks: one's own tasks, everybody's with Sys.Audit on the node; running ones first
// (source active or all), then finished ones, newest first.
func (s *Server) listTasks(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	p := q.params
	source := p.str("source")
	if source == "" {
		source = "archive"
	}
	audit := s.may(q.token, "/nodes/"+p.str("node"), "Sys.Audit")
	var found []*task
	for _, t := range s.tasks {
		if t.node != p.str("node") || t.running() && source == "archive" || !t.running() && source == "active" {
			continue
		}
		if (audit || t.token.id == q.token.id) && taskMatches(t, p) {
			found = append(found, t)
		}
	}
	slices.SortStableFunc(found, func(a, b *task) int {
		if a.running() != b.running() {
			if a.running() {
				return -1
			}
			return 1
		}
		if a.running() {
			return b.start.Compare(a.start)
		}
		return b.ended.Compare(a.ended) // the node appends them to its index
	})
	q.total = len(found)
	first, limit := p.num("start", 0), p.num("limit", 50)
	out := []any{}
	for i := first; i < len(found) && i < first+limit; i++ {
		out = append(out, found[i].listEntry())
	}
	return out, nil
}

// listEntry differs between running and finished tasks: a running one has the whole token id as its user.
func (t *task) listEntry() map[string]any {
	e := t.entry()
	if t.running() {
		e["user"] = t.token.id
		delete(e, "tokenid")
		e["status"] = "RUNNING"
		e["saved"] = "0"
		return e
	}
	e["status"] = t.exit
	e["endtime"] = t.end.Unix()
	return e
}

func taskMatches(t *task, p params) bool {
	if p.yes("errors") && (t.running() || t.exit == "OK" || strings.HasPrefix(t.exit, "WARNINGS: ")) {
		return false
	}
	if p.has("typefilter") && !strings.Contains(t.kind, p.str("typefilter")) {
		return false
	}
	if p.has("vmid") && t.id != p.str("vmid") {
		return false
	}
	if p.has("userfilter") && !strings.Contains(strings.ToLower(t.token.user()), strings.ToLower(p.str("userfilter"))) {
		return false
	}
	if p.has("since") && t.start.Before(time.Unix(int64(p.num("since", 0)), 0)) {
		return false
	}
	if p.has("until") && t.start.After(time.Unix(int64(p.num("until", 0)), 0)) {
		return false
	}
	if p.has("statusfilter") {
		return slices.Contains(splitList(strings.ToLower(p.str("statusfilter"))), statusClass(t))
	}
	return true
}

func statusClass(t *task) string {
	switch {
	case t.running(), t.exit == "unexpected status":
		return "unknown"
	case t.exit == "OK":
		return "ok"
	case strings.HasPrefix(t.exit, "WARNINGS: "):
		return "warning"
	}
	return "error"
}

// clusterTasks is GET /cluster/tasks: the small broadcast of running tasks and the last 25 finished ones of each node.
// A token without Sys.Audit on / sees nothing there, not even its own (recorded from Proxmox VE 9.2).
func (s *Server) clusterTasks(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	out := []any{}
	if !s.may(q.token, "/", "Sys.Audit") {
		return out, nil
	}
	finished := map[string]int{}
	for i := len(s.tasks) - 1; i >= 0; i-- {
		t := s.tasks[i]
		e := t.entry()
		delete(e, "pstart")
		if !t.running() {
			if finished[t.node]++; finished[t.node] > 25 {
				continue
			}
			delete(e, "pid")
			e["status"], e["endtime"], e["saved"] = t.exit, t.end.Unix(), "1"
		}
		out = append(out, e)
	}
	return out, nil
}
