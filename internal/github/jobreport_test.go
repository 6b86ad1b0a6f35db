package github

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/internal/runner"
)

func TestJobTellsItsCourse(t *testing.T) {
	job := newFake(t).job
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var reply any
	c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != root+"/actions/jobs/7" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		if reply == nil {
			say(w, http.StatusNotFound, object{"message": "Not Found"})
			return
		}
		say(w, http.StatusOK, reply)
	}))
	times := object{"created_at": "2026-11-25T12:00:00Z", "started_at": "2026-11-25T12:00:00Z", "completed_at": nil}
	none := object{"id": 7, "run_id": 3, "conclusion": nil, "runner_id": nil, "runner_name": nil, "runner_group_id": nil, "runner_group_name": nil}

	// GitHub writes started_at into jobs that wait.
	reply = with(with(with(job, none), times), object{"status": "queued"})
	if got, err := c.Job(t.Context(), octo, 7); err != nil || !got.Started.IsZero() || got.Status != runner.JobQueued || got.RunID != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	reply = with(with(with(job, none), times), object{"status": "in_progress", "started_at": "2026-11-25T12:00:31Z", "runner_id": 9, "runner_name": "ep-1"})
	if got, err := c.Job(t.Context(), octo, 7); err != nil || !got.Started.Equal(at("2026-11-25T12:00:31Z")) || got.RunnerName != "ep-1" || got.Conclusion != "" {
		t.Errorf("%+v, %v", got, err)
	}
	reply = with(reply.(object), object{"status": "completed", "conclusion": "failure", "completed_at": "2026-11-25T12:02:01Z", "html_url": "https://x"})
	if got, err := c.Job(t.Context(), octo, 7); err != nil || !got.Completed.Equal(at("2026-11-25T12:02:01Z")) || got.Conclusion != "failure" || got.URL != "https://x" {
		t.Errorf("%+v, %v", got, err)
	}
	// One that was cancelled in the queue never started.
	reply = with(with(with(job, none), times), object{"status": "completed", "conclusion": "cancelled", "runner_id": 0, "runner_name": ""})
	if got, err := c.Job(t.Context(), octo, 7); err != nil || !got.Started.IsZero() || got.Conclusion != "cancelled" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, reply = range []any{nil, object{}} {
		if got, err := c.Job(t.Context(), octo, 7); err == nil || errors.Is(err, NotFound) != (reply == nil) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestLastJobsAreThoseOfCompletedRunsNewestFirst(t *testing.T) {
	f := newFake(t)
	f.addRun(1, "completed", object{"id": 11, "status": "completed", "conclusion": "success", "runner_name": "ep-1", "runner_id": 5})
	f.addRun(2, "completed", object{"id": 21, "status": "completed", "conclusion": "cancelled"}, object{"id": 22, "status": "completed", "conclusion": "success"})
	f.addRun(3, "queued", queued(31))
	c := newClient(t, f)
	got, err := c.LastJobs(t.Context(), octo, 10)
	if err != nil || len(got) != 3 || got[0].ID != 22 || got[2].ID != 11 || got[2].RunnerName != "ep-1" || got[2].RunID != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if n := f.count("per_page=10&status=completed 200"); n != 1 {
		t.Errorf("asked:\n%s", strings.Join(f.log(), "\n"))
	}
	f.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		say(w, http.StatusForbidden, object{"message": "Resource not accessible by personal access token"})
		return true
	}
	if _, err := c.LastJobs(t.Context(), octo, 10); !errors.Is(err, Permission) {
		t.Error(err)
	}
	if _, err := c.LastJobs(t.Context(), runner.Target{}, 10); !errors.Is(err, Invalid) {
		t.Error(err)
	}
}

func TestDispatchStartsAWorkflowOrSaysWhatItNeeds(t *testing.T) {
	for name, tc := range map[string]struct {
		status  int
		body    object
		kind    error
		says    string
		nothing bool // GitHub isn't asked
		file    string
	}{
		"started":          {status: http.StatusNoContent, file: "build.yml"},
		"with the details": {status: http.StatusOK, body: object{"workflow_run_id": 1, "run_url": "https://x", "html_url": "https://x"}, file: "build it.yaml"},
		"no trigger":       {http.StatusUnprocessableEntity, object{"message": "Workflow does not have 'workflow_dispatch' trigger"}, Invalid, "needs the trigger workflow_dispatch", false, "build.yml"},
		"no file":          {http.StatusNotFound, object{"message": "Not Found"}, NotFound, ".github/workflows", false, "build.yml"},
		"no privilege":     {http.StatusForbidden, object{"message": "Resource not accessible by personal access token"}, Permission, "Actions: read and write", false, "build.yml"},
		"strange":          {http.StatusAccepted, object{}, MaybeHappened, "look whether", false, "build.yml"},
		"a path":           {0, nil, Invalid, "no workflow's file", true, "../../issues/1.yml"},
		"no workflow":      {0, nil, Invalid, "no workflow's file", true, "build.sh"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			c := newClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				if r.Method != http.MethodPost || r.URL.Path != root+"/actions/workflows/"+tc.file+"/dispatches" {
					t.Errorf("asked for %s %s", r.Method, r.URL.Path)
				}
				if tc.status == http.StatusNoContent {
					w.WriteHeader(tc.status)
					return
				}
				say(w, tc.status, tc.body)
			}))
			err := c.Dispatch(t.Context(), octo, tc.file, "main")
			if tc.kind == nil && err != nil || tc.kind != nil && (!errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.says)) {
				t.Error(err)
			}
			if tc.nothing != (asked == 0) {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}
