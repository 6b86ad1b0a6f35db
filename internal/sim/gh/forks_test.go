package gh

import (
	"encoding/json"
	"net/http"
	"testing"
)

// repositoryOf is as much of a repository as tells whose it is.
type repositoryOf struct {
	ID       int64  `json:"id"`
	FullName string `json:"full_name"`
}

func TestARunAndItsPayloadSayWhoseCodeItIs(t *testing.T) {
	const own = "NREL/EnergyPlus"
	for name, tc := range map[string]struct {
		event, head string
		run, told   string // "" is null
	}{
		"push":                    {"push", "", own, ""},
		"own pull request":        {"pull_request", "", own, own},
		"fork":                    {"pull_request", "mallory/EnergyPlus", "mallory/EnergyPlus", "mallory/EnergyPlus"},
		"fork as target":          {"pull_request_target", "mallory/EnergyPlus", "mallory/EnergyPlus", "mallory/EnergyPlus"},
		"deleted fork":            {"pull_request", DeletedFork, "", ""},
		"run that follows":        {"workflow_run", "mallory/EnergyPlus", own, "mallory/EnergyPlus"},
		"run that follows a hole": {"workflow_run", DeletedFork, own, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := inProcess(t, Options{})
			b.s.AddJobs(JobSpec{Event: tc.event, Head: tc.head})
			var list struct {
				Runs []struct {
					Event      string
					Repository repositoryOf
					Head       *repositoryOf `json:"head_repository"`
				} `json:"workflow_runs"`
			}
			b.must(http.StatusOK, http.MethodGet, "/repos/"+own+"/actions/runs", nil, &list)
			run := list.Runs[0]
			if run.Event != tc.event || run.Repository.FullName != own || nameOf(run.Head) != tc.run {
				t.Errorf("run %+v, head %q", run, nameOf(run.Head))
			}
			if same := run.Head != nil && run.Head.ID == run.Repository.ID; same != (tc.run == own) {
				t.Errorf("ids %+v and %+v", run.Head, run.Repository)
			}

			c, _ := b.online("ep-1", "self-hosted")
			var payload struct {
				Repository  repositoryOf
				PullRequest struct{ Head struct{ Repo *repositoryOf } } `json:"pull_request"`
				WorkflowRun struct {
					Head *repositoryOf `json:"head_repository"`
				} `json:"workflow_run"`
			}
			if err := json.Unmarshal(b.take(c).Payload, &payload); err != nil {
				t.Fatal(err)
			}
			told := payload.PullRequest.Head.Repo
			if tc.event == "workflow_run" {
				told = payload.WorkflowRun.Head
			}
			if payload.Repository.FullName != own || nameOf(told) != tc.told {
				t.Errorf("payload %+v, head %q", payload, nameOf(told))
			}
		})
	}
}

func nameOf(r *repositoryOf) string {
	if r == nil {
		return ""
	}
	return r.FullName
}

func TestAHeadThatIsNoRepositoryIsRefused(t *testing.T) {
	b := inProcess(t, Options{})
	for _, head := range []string{"mallory", "mallory/", "/x", "a/b/c"} {
		b.must(http.StatusBadRequest, http.MethodPost, "/_sim/jobs", object{"event": "pull_request", "head": head}, nil)
	}
	b.must(http.StatusOK, http.MethodPost, "/_sim/jobs", object{"event": "pull_request", "head": "mallory/x", "steps": []object{{"run": "true", "if": "always()"}}}, nil)
}
