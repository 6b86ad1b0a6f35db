//go:build bench

package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

const (
	owner, repo = "NREL", "EnergyPlus"
	// perRun is how many jobs a run has, as a matrix makes them.
	perRun = 20
	// perPage is GitHub's largest page.
	perPage = 100
)

// hub is a GitHub whose runners are all busy. Like the real one it answers 304 to who knows the reply already.
type hub struct {
	*httptest.Server
	t    *testing.T
	live int

	mu     sync.Mutex
	queued int64 // the run of one job that waits; 0 for none
	shown  chan shown
	reads  int // of the queue, whole ones
}

// shown is when the last byte of the reply with a job went out.
type shown struct {
	run int64
	at  time.Time
}

const firstQueued = 1_000_000

func newHub(t *testing.T, live int) *hub {
	t.Helper()
	h := &hub{t: t, live: live, shown: make(chan shown, 1)}
	base := "/api/v3/repos/" + owner + "/" + repo
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+base+"/actions/runners", h.runners)
	mux.HandleFunc("GET "+base+"/actions/runs", h.runs)
	mux.HandleFunc("GET "+base+"/actions/runs/{run}/jobs", h.jobs)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("GitHub is asked %s %s", r.Method, r.URL)
		http.NotFound(w, r)
	})
	h.Server = httptest.NewServer(mux)
	t.Cleanup(h.Close)
	return h
}

// queue lets one job wait, in a run of its own, or none for 0.
func (h *hub) queue(run int64) {
	h.mu.Lock()
	h.queued = run
	h.mu.Unlock()
}

func (h *hub) waiting() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.queued
}

// read is how often the queue was read.
func (h *hub) read() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reads
}

func (h *hub) runners(w http.ResponseWriter, r *http.Request) {
	list := []any{}
	from, to := window(r, h.live)
	for i := from; i < to; i++ {
		list = append(list, map[string]any{
			"id": i + 1, "name": name(i), "os": "linux", "status": "online", "busy": true, "runner_group_id": 1, "ephemeral": true,
			"labels": []any{map[string]any{"id": 1, "name": "self-hosted", "type": "read-only"}, map[string]any{"id": 2, "name": "energyplus", "type": "custom"}},
		})
	}
	h.send(w, r, map[string]any{"total_count": h.live, "runners": list}, to < h.live)
}

func (h *hub) runs(w http.ResponseWriter, r *http.Request) {
	var ids []int64
	switch r.URL.Query().Get("status") {
	case "in_progress":
		for i := range (h.live + perRun - 1) / perRun {
			ids = append(ids, int64(1000+i))
		}
		h.mu.Lock()
		h.reads++
		h.mu.Unlock()
	case "queued":
		if q := h.waiting(); q != 0 {
			ids = append(ids, q)
		}
	}
	list := []any{}
	from, to := window(r, len(ids))
	for _, id := range ids[from:to] {
		same := map[string]any{"id": 1, "full_name": owner + "/" + repo}
		list = append(list, map[string]any{
			"id": id, "name": "CI", "event": "push", "status": r.URL.Query().Get("status"), "run_attempt": 1, "created_at": "2026-11-26T00:00:00Z", "repository": same, "head_repository": same,
		})
	}
	h.send(w, r, map[string]any{"total_count": len(ids), "workflow_runs": list}, to < len(ids))
}

func (h *hub) jobs(w http.ResponseWriter, r *http.Request) {
	run, _ := strconv.ParseInt(r.PathValue("run"), 10, 64)
	list := []any{}
	job := func(id int64, status, runnerName string) {
		list = append(list, map[string]any{
			"id": id, "run_id": run, "run_attempt": 1, "name": "build", "status": status, "labels": []string{"self-hosted", "energyplus"}, "created_at": "2026-11-26T00:00:00Z", "runner_name": runnerName,
			"workflow_name": "CI", "head_branch": "main", "steps": []any{map[string]any{"name": "Set up job", "status": "completed", "number": 1}, map[string]any{"name": "Build", "status": status, "number": 2}},
		})
	}
	if run >= firstQueued {
		job(run*10, "queued", "")
		h.send(w, r, map[string]any{"total_count": 1, "jobs": list}, false)
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		select {
		case h.shown <- shown{run, time.Now()}:
		default:
		}
		return
	}
	first := int(run-1000) * perRun
	for i := first; i < min(first+perRun, h.live); i++ {
		job(int64(100_000+i), "in_progress", name(i))
	}
	h.send(w, r, map[string]any{"total_count": len(list), "jobs": list}, false)
}

// window is the part of a list of n that a request's page asks for.
func window(r *http.Request, n int) (from, to int) {
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil {
		page = 1
	}
	size, err := strconv.Atoi(r.URL.Query().Get("per_page"))
	if err != nil {
		size = perPage
	}
	from = min((page-1)*size, n)
	return from, min(from+size, n)
}

func (h *hub) send(w http.ResponseWriter, r *http.Request, body any, more bool) {
	text, err := json.Marshal(body)
	if err != nil {
		h.t.Error(err)
	}
	sum := sha256.Sum256(text)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if more {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		next := *r.URL
		q := next.Query()
		q.Set("page", strconv.Itoa(max(page, 1)+1))
		next.RawQuery = q.Encode()
		w.Header().Set("Link", fmt.Sprintf(`<%s%s>; rel="next"`, h.URL, next.String()))
	}
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(text)
}
