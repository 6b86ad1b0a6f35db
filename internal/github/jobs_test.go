package github

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mayfly/internal/runner"
)

func ids(jobs []runner.Job) []int64 {
	var out []int64
	for _, j := range jobs {
		out = append(out, j.ID)
	}
	return out
}

func TestJobsAreReadFromGitHubsJSON(t *testing.T) {
	f := newFake(t)
	f.addRun(30, "in_progress",
		object{"id": 301, "status": "queued", "runner_id": 0, "runner_name": "", "labels": []string{"self-hosted", "Linux"}, "name": "build (1)", "workflow_name": "CI", "run_attempt": 2, "created_at": "2026-11-24T10:00:00Z"},
		object{"id": 302, "status": "in_progress", "runner_id": 7, "runner_name": "ep-0123456789", "labels": []string{}},
		object{"id": 303, "status": "completed", "conclusion": "success", "runner_id": 8, "runner_name": "x"},
		object{"id": 304, "status": "waiting", "labels": nil},
	)
	got, err := newClient(t, f).Jobs(t.Context(), octo)
	if err != nil {
		t.Fatal(err)
	}
	want := []runner.Job{
		{
			ID: 301, RunID: 30, Attempt: 2, Name: "build (1)", Workflow: "CI", Target: octo, Labels: []string{"self-hosted", "Linux"},
			Status: runner.JobQueued, CreatedAt: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
			Event: "push", HeadRepository: "octocat/Hello-World",
		},
		{ID: 302, RunID: 30, Name: "build", Target: octo, Labels: []string{}, Status: runner.JobInProgress, RunnerID: 7, RunnerName: "ep-0123456789", Event: "push", HeadRepository: "octocat/Hello-World"},
		{ID: 304, RunID: 30, Name: "build", Target: octo, Status: "waiting", Event: "push", HeadRepository: "octocat/Hello-World"},
	}
	for i := range got {
		if got[i].ID != 301 {
			got[i].Attempt, got[i].Workflow, got[i].CreatedAt = 0, "", time.Time{}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !got[0].Waiting() || got[1].Waiting() || got[2].Waiting() {
		t.Error("only the queued job without a runner waits")
	}
}

func TestEveryStatusThatMayHoldQueuedJobsIsAsked(t *testing.T) {
	f := newFake(t)
	var want []int64
	for i, status := range []string{"queued", "in_progress", "waiting", "pending"} {
		id := int64(i + 1)
		f.addRun(id, status, queued(id*10), object{"id": id*10 + 1, "status": "in_progress", "runner_id": 5, "runner_name": "r"})
		want = append(want, id*10, id*10+1)
	}
	f.addRun(9, "completed", queued(90))
	got, err := newClient(t, f).Jobs(t.Context(), octo)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, ids(got)); d != "" {
		t.Error(d)
	}
	for _, l := range f.log() {
		if strings.Contains(l, "/jobs?") && !strings.Contains(l, "filter=latest") {
			t.Errorf("%s: older attempts' jobs are nobody's demand", l)
		}
	}
}

func TestRunThatMovesOnWhileReadIsCountedOnce(t *testing.T) {
	f := newFake(t)
	f.addRun(5, "queued", queued(50), queued(51))
	f.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("status") == "in_progress" {
			f.mu.Lock()
			f.runs[0]["status"] = "in_progress"
			f.mu.Unlock()
		}
		return false
	}
	got, err := newClient(t, f).Jobs(t.Context(), octo)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int64{50, 51}, ids(got)); d != "" {
		t.Error(d)
	}
	if n := f.count("/runs/5/jobs?filter=latest&page=1&per_page=100 200"); n != 1 {
		t.Errorf("the run's jobs were read %d times: %q", n, f.log())
	}
}

func TestAllPagesOfAMatrixOf256JobsAreRead(t *testing.T) {
	f := newFake(t)
	var jobs []object
	for i := range 256 {
		jobs = append(jobs, queued(int64(1000+i)))
	}
	f.addRun(1, "queued", jobs...)
	c := overTCP(t, underV3(f)) // over a real connection, with chunked bodies
	for range 2 {               // then from the cache
		got, err := c.Jobs(t.Context(), octo)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 256 || got[0].ID != 1000 || got[255].ID != 1255 {
			t.Fatalf("%d jobs", len(got))
		}
	}
	if n := f.count(" 200"); n != 4+3 {
		t.Errorf("%d replies 200, want the 4 lists of runs and 3 pages once", n)
	}
	if n := f.count(" 304"); n != 4+3 {
		t.Errorf("%d replies 304, want the same again", n)
	}
}

// slim leaves out what makes GitHub's runs long, for tests with thousands.
func slim(f *fake) *fake {
	f.run, f.job = object{"created_at": f.run["created_at"]}, object{}
	return f
}

func TestOver1000RunsAreReadInWindows(t *testing.T) {
	f := slim(newFake(t))
	start := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	for i := range 2100 {
		f.addRun(int64(i+1), "queued")
		f.runs[i]["created_at"] = start.Add(time.Duration(i) * time.Second).Format(time.RFC3339)
	}
	runs, err := newClient(t, f).runs(t.Context(), "list", octo, "queued")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	for _, r := range runs {
		seen[r.GetID()] = true
	}
	if len(seen) != 2100 || len(runs) != 2100 {
		t.Errorf("%d runs, %d different, want 2100", len(runs), len(seen))
	}
}

func TestMoreRunsInOneSecondThanGitHubListsIsAnError(t *testing.T) {
	f := slim(newFake(t))
	for i := range 1001 {
		f.addRun(int64(i+1), "queued")
	}
	if _, err := newClient(t, f).Jobs(t.Context(), octo); !errors.Is(err, Unavailable) || !strings.Contains(err.Error(), "cancel") {
		t.Errorf("%v", err)
	}
}

func TestRunThatVanishesIsSkipped(t *testing.T) {
	f := newFake(t)
	f.addRun(1, "queued", queued(10))
	f.addRun(2, "queued", queued(20))
	delete(f.jobs, 1)
	got, err := newClient(t, f).Jobs(t.Context(), octo)
	if err != nil || !slices.Equal(ids(got), []int64{20}) {
		t.Errorf("%v, %v", ids(got), err)
	}
}

func TestAFailingPageFailsTheWholeRead(t *testing.T) {
	broken := map[string]func(w http.ResponseWriter){
		"503":             func(w http.ResponseWriter) { say(w, http.StatusServiceUnavailable, object{"message": "no server"}) },
		"403":             func(w http.ResponseWriter) { say(w, http.StatusForbidden, object{"message": "no"}) },
		"401":             func(w http.ResponseWriter) { say(w, http.StatusUnauthorized, object{"message": "Bad credentials"}) },
		"202":             func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) },
		"304 unasked":     func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotModified) },
		"204":             func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
		"empty 200":       func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
		"{}":              func(w http.ResponseWriter) { say(w, http.StatusOK, object{}) },
		"null":            func(w http.ResponseWriter) { say(w, http.StatusOK, nil) },
		"a proxy's page":  func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>welcome") },
		"cut short":       func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"total_count": 1, "jobs": [`) },
		"count, no items": func(w http.ResponseWriter) { say(w, http.StatusOK, object{"total_count": 3}) },
		"items without id": func(w http.ResponseWriter) {
			say(w, http.StatusOK, object{"total_count": 1, "jobs": []object{{}}, "workflow_runs": []object{{}}, "runners": []object{{}}})
		},
		"broken connection": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	}
	places := map[string]string{
		"first list of runs":  "/actions/runs?exclude_pull_requests=true&page=1&per_page=100&status=pending",
		"last list of runs":   "status=in_progress",
		"first page of jobs":  "/runs/1/jobs?filter=latest&page=1",
		"second page of jobs": "/runs/1/jobs?filter=latest&page=2",
		"list of runners":     "/actions/runners",
	}
	for what, breakIt := range broken {
		for where, part := range places {
			t.Run(what+" at "+where, func(t *testing.T) {
				t.Parallel()
				f := newFake(t)
				var jobs []object
				for i := range 150 {
					jobs = append(jobs, queued(int64(1000+i)))
				}
				f.addRun(1, "queued", jobs...)
				f.addRun(2, "queued", queued(20))
				f.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
					if strings.Contains(r.URL.RequestURI(), part) {
						breakIt(w)
						return true
					}
					return false
				}
				c := newClient(t, f)
				var err error
				var n int
				if where == "list of runners" {
					var list []runner.Registration
					list, err = c.Runners(t.Context(), octo)
					n = len(list)
				} else {
					var list []runner.Job
					list, err = c.Jobs(t.Context(), octo)
					n = len(list)
				}
				var e *Error
				if !errors.As(err, &e) || n != 0 || errors.Is(err, MaybeHappened) {
					t.Errorf("%d items, %v", n, err)
				}
			})
		}
	}
}

func TestListThatChangesWhileReadIsReadAgain(t *testing.T) {
	f := newFake(t)
	for i := range 120 {
		f.addRunner(int64(i+1), fmt.Sprintf("r%d", i), "online", false)
	}
	moved := false
	f.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("page") == "2" && !moved {
			moved = true // the first leaves: the 101st slips onto the page that was read already
			f.mu.Lock()
			f.runners = f.runners[1:]
			f.mu.Unlock()
		}
		return false
	}
	got, err := newClient(t, f).Runners(t.Context(), octo)
	if err != nil || len(got) != 119 || !slices.ContainsFunc(got, func(r runner.Registration) bool { return r.ID == 101 }) {
		t.Errorf("%d runners, %v", len(got), err)
	}
}

func TestListThatNeverHoldsStillIsAnError(t *testing.T) {
	f := newFake(t)
	for i := range 120 {
		f.addRunner(int64(i+1), fmt.Sprintf("r%d", i), "online", false)
	}
	f.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("page") == "2" {
			f.mu.Lock()
			f.runners = f.runners[1:]
			f.mu.Unlock()
		}
		return false
	}
	if got, err := newClient(t, f).Runners(t.Context(), octo); !errors.Is(err, Unavailable) || got != nil {
		t.Errorf("%d runners, %v", len(got), err)
	}
}

// A busy repository's list of runs may never hold still; every run that was there throughout is found all the same.
func TestRunsAreFoundHoweverFastTheListMoves(t *testing.T) {
	f := newFake(t)
	for i := range 250 {
		f.addRun(int64(i+1), "queued", queued(int64(i+1)*10))
	}
	next := int64(1000)
	f.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/runs") && r.URL.Query().Get("status") == "queued" && r.URL.Query().Get("page") != "1" {
			f.mu.Lock()
			f.runs[0]["status"] = "completed"
			f.runs = f.runs[1:]
			f.mu.Unlock()
			next++
			f.addRun(next, "queued", queued(next*10))
			f.mu.Lock()
			f.runs = append(f.runs[len(f.runs)-1:], f.runs[:len(f.runs)-1]...)
			f.mu.Unlock()
		}
		return false
	}
	got, err := newClient(t, f).Jobs(t.Context(), octo)
	if err != nil {
		t.Fatal(err)
	}
	have := map[int64]bool{}
	for _, id := range ids(got) {
		have[id] = true
	}
	for i := int64(50); i <= 250; i++ {
		if !have[i*10] {
			t.Errorf("job of run %d is missing", i)
		}
	}
}

func TestPropertyJobsAreTheTrueListOrAnError(t *testing.T) {
	f0 := slim(newFake(t))
	rapid.Check(t, func(rt *rapid.T) {
		f := &fake{run: f0.run, job: f0.job, oneRunner: f0.oneRunner, jobs: map[int64][]object{}, header: http.Header{}}
		f.noETags = rapid.Bool().Draw(rt, "noETags")
		c := newClient(t, f, func(o *Options) { o.Concurrency = rapid.IntRange(1, 4).Draw(rt, "concurrency") })
		statuses := []string{"queued", "in_progress", "waiting", "pending", "completed"}
		nextRun := int64(0)
		good := 0
		for range rapid.IntRange(1, 5).Draw(rt, "reads") {
			for range rapid.IntRange(0, 3).Draw(rt, "new runs") {
				nextRun++
				var jobs []object
				n := rapid.SampledFrom([]int{0, 1, 2, 99, 100, 101, 201}).Draw(rt, "jobs")
				pattern := rapid.SliceOfN(rapid.SampledFrom(statuses), 3, 7).Draw(rt, "job statuses")
				for j := range n {
					jobs = append(jobs, object{"id": nextRun*1000 + int64(j), "status": pattern[j%len(pattern)], "steps": []any{}})
				}
				f.addRun(nextRun, rapid.SampledFrom(statuses).Draw(rt, "run status"), jobs...)
				if n == 0 {
					f.jobs[nextRun] = []object{}
				}
			}
			faults := rapid.SliceOfN(rapid.IntRange(0, 30), 40, 40).Draw(rt, "faults")
			base := len(f.seen)
			f.fault = func(n int, w http.ResponseWriter, r *http.Request) bool {
				return misbehave(faults[(n-base)%len(faults)], w)
			}
			want := truth(f)
			got, err := c.Jobs(t.Context(), octo)
			if err != nil {
				var e *Error
				if got != nil || !errors.As(err, &e) {
					rt.Fatalf("%d jobs beside %v", len(got), err)
				}
				continue
			}
			good++
			if d := cmp.Diff(want, ids(got)); d != "" {
				rt.Fatalf("neither the true list nor an error: %s", d)
			}
		}
		f.fault = nil
		got, err := c.Jobs(t.Context(), octo)
		if err != nil || cmp.Diff(truth(f), ids(got)) != "" {
			rt.Fatalf("after the faults: %v, %s", err, cmp.Diff(truth(f), ids(got)))
		}
	})
}

// misbehave answers instead of the server for some numbers.
func misbehave(kind int, w http.ResponseWriter) bool {
	switch kind {
	case 1:
		say(w, http.StatusInternalServerError, object{"message": "oops"})
	case 2:
		w.WriteHeader(http.StatusBadGateway)
	case 3:
		w.WriteHeader(http.StatusNotModified)
	case 4:
		w.Header().Set("Etag", `W/"of another version"`)
		w.WriteHeader(http.StatusNotModified)
	case 5:
		w.WriteHeader(http.StatusOK)
	case 6:
		panic(http.ErrAbortHandler)
	case 7:
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"total_count":0,"jobs":[],"workflow_runs":[]}`)
	default:
		return false
	}
	return true
}

// truth is what the fake has to say about jobs not completed.
func truth(f *fake) []int64 {
	var out []int64
	for _, run := range f.runs {
		if run["status"] == "completed" {
			continue
		}
		for _, j := range f.jobs[run["id"].(int64)] {
			if j["status"] != "completed" {
				out = append(out, j["id"].(int64))
			}
		}
	}
	slices.Sort(out)
	return out
}
