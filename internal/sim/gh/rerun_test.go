package gh

import (
	"fmt"
	"net/http"
	"testing"

	"mayfly/internal/sim/runnerproto"
)

const runsPath = "/repos/NREL/EnergyPlus/actions/runs"

// serve runs the next job to its end on a runner of its own.
func (b *bench) serve(name string, result runnerproto.Result) *runnerproto.Message {
	b.t.Helper()
	c, _ := b.online(name, "self-hosted")
	m := b.take(c)
	if err := c.Start(b.t.Context(), m.JobID); err != nil {
		b.t.Fatal(err)
	}
	if err := c.Complete(b.t.Context(), m.JobID, result); err != nil {
		b.t.Fatal(err)
	}
	return m
}

type jobList struct {
	Total int `json:"total_count"`
	Jobs  []struct {
		ID         int64
		Name       string
		Status     string
		Conclusion string
		RunAttempt int    `json:"run_attempt"`
		RunnerName string `json:"runner_name"`
	}
}

func TestRerunOfFailedJobsGivesThemNewIDsInANewAttempt(t *testing.T) {
	b := inProcess(t, Options{})
	b.s.AddJobs(JobSpec{Count: 2})
	good := b.serve("ep-1", runnerproto.Succeeded)
	bad := b.serve("ep-2", runnerproto.Failed)
	run := fmt.Sprintf("%s/%d", runsPath, good.RunID)
	var r struct {
		Status, Conclusion string
		RunAttempt         int `json:"run_attempt"`
	}
	b.must(http.StatusOK, http.MethodGet, run, nil, &r)
	if r.Status != "completed" || r.Conclusion != "failure" || r.RunAttempt != 1 {
		t.Errorf("%+v", r)
	}
	b.must(http.StatusCreated, http.MethodPost, run+"/rerun-failed-jobs", nil, nil)
	b.must(http.StatusForbidden, http.MethodPost, run+"/rerun", nil, nil) // it is running
	r.Conclusion = ""
	b.must(http.StatusOK, http.MethodGet, run, nil, &r)
	if r.Status != "queued" || r.Conclusion != "" || r.RunAttempt != 2 {
		t.Errorf("%+v", r)
	}
	var latest, first, all jobList
	b.must(http.StatusOK, http.MethodGet, run+"/jobs", nil, &latest)
	b.must(http.StatusOK, http.MethodGet, run+"/attempts/1/jobs", nil, &first)
	b.must(http.StatusOK, http.MethodGet, run+"/jobs?filter=all", nil, &all)
	if latest.Total != 2 || first.Total != 2 || all.Total != 4 {
		t.Fatalf("%d, %d, %d jobs", latest.Total, first.Total, all.Total)
	}
	for _, j := range latest.Jobs {
		again := j.Name == bad.Name
		if j.ID == good.JobID || j.ID == bad.JobID || j.RunAttempt != 2 || (j.Status == "queued") != again || (j.RunnerName == "") != again {
			t.Errorf("%+v", j)
		}
	}
	m := b.serve("ep-3", runnerproto.Succeeded)
	if m.Name != bad.Name || m.JobID == bad.JobID || m.Attempt != 2 {
		t.Errorf("%+v", m)
	}
	b.must(http.StatusForbidden, http.MethodPost, run+"/rerun-failed-jobs", nil, nil)
	b.must(http.StatusCreated, http.MethodPost, fmt.Sprintf("/repos/NREL/EnergyPlus/actions/jobs/%d/rerun", good.JobID), nil, nil)
	if m := b.serve("ep-4", runnerproto.Succeeded); m.Name != good.Name || m.Attempt != 3 {
		t.Errorf("%+v", m)
	}
	b.must(http.StatusNoContent, http.MethodDelete, run, nil, nil)
	b.must(http.StatusNotFound, http.MethodGet, fmt.Sprintf("/repos/NREL/EnergyPlus/actions/jobs/%d", m.JobID), nil, nil)
	if n := len(b.s.Jobs()); n != 6 {
		t.Errorf("the state tells of %d jobs, want 6: it forgets none", n)
	}
}

func TestCancelledRunEndsEachJobItsOwnWay(t *testing.T) {
	b := inProcess(t, Options{})
	ids := b.s.AddJobs(JobSpec{Count: 2})
	c, _ := b.online("ep-1", "self-hosted")
	m := b.take(c)
	if err := c.Start(t.Context(), m.JobID); err != nil {
		t.Fatal(err)
	}
	run := fmt.Sprintf("%s/%d", runsPath, m.RunID)
	b.must(http.StatusForbidden, http.MethodDelete, run, nil, nil)
	b.must(http.StatusAccepted, http.MethodPost, run+"/cancel", nil, nil)
	if a, z := b.job(ids[0]), b.job(ids[1]); a.Status != "in_progress" || z.Conclusion != "cancelled" {
		t.Errorf("%+v\n%+v", a, z)
	}
	b.must(http.StatusAccepted, http.MethodPost, run+"/force-cancel", nil, nil)
	if a := b.job(ids[0]); a.Conclusion != "cancelled" {
		t.Errorf("%+v", a)
	}
	b.must(http.StatusConflict, http.MethodPost, run+"/cancel", nil, nil)
	b.must(http.StatusConflict, http.MethodPost, run+"/force-cancel", nil, nil)
}

func TestDispatchQueuesTheWorkflowsJobsAgain(t *testing.T) {
	b := inProcess(t, Options{})
	b.s.AddJobs(JobSpec{Count: 3, Workflow: "Nightly build"})
	path := "/repos/NREL/EnergyPlus/actions/workflows/nightly-build.yml/dispatches"
	b.must(http.StatusNoContent, http.MethodPost, path, object{"ref": "main"}, nil)
	b.must(http.StatusUnprocessableEntity, http.MethodPost, path, object{}, nil)
	b.must(http.StatusNotFound, http.MethodPost, "/repos/NREL/EnergyPlus/actions/workflows/none.yml/dispatches", object{"ref": "main"}, nil)
	var list struct {
		Total int `json:"total_count"`
	}
	b.must(http.StatusOK, http.MethodGet, runsPath+"?event=workflow_dispatch", nil, &list)
	if list.Total != 1 || len(b.s.Jobs()) != 6 {
		t.Errorf("%d runs, %d jobs", list.Total, len(b.s.Jobs()))
	}
}
