package contract_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/runnerproto"
)

type object = map[string]any

const (
	repoPath   = "/repos/NREL/EnergyPlus"
	repoRunner = repoPath + "/actions/runners"
	orgRunner  = "/orgs/NREL/actions/runners"
	// narrow may read metadata only; elsewhere sees another repository only.
	narrow    = "github_pat_narrow"
	elsewhere = "github_pat_elsewhere"
)

func contractOptions() gh.Options {
	return gh.Options{
		Seed: 5, Repositories: []gh.RepositorySpec{{Name: "octo-org/other"}},
		Tokens: []gh.TokenSpec{
			{Token: narrow, Permissions: map[string]string{"metadata": "read"}},
			{Token: elsewhere, Repositories: []string{"octo-org/other"}},
		},
	}
}

func TestEveryReplyOfTheGitHubStandInIsOneThatGitHubDescribes(t *testing.T) {
	b := newGitHubBench(t, contractOptions())
	t.Run("account", b.part((*githubBench).account))
	t.Run("runs and jobs", b.part((*githubBench).runsAndJobs))
	t.Run("runners of a repository", b.part(func(b *githubBench) { b.runners(repoRunner) }))
	t.Run("runners of an organization", b.part(func(b *githubBench) { b.runners(orgRunner) }))
	t.Run("busy runners", b.part((*githubBench).busyRunners))
	t.Run("runner groups", b.part((*githubBench).groups))
	t.Run("refusals", b.part((*githubBench).refusals))
	t.Run("faults", b.part((*githubBench).faults))
	t.Run("rate limit", b.part((*githubBench).rateLimit))
	b.allCovered(t)
}

// part makes a subtest of a part of the tour.
func (b *githubBench) part(f func(*githubBench)) func(*testing.T) {
	return func(t *testing.T) {
		outer := b.t
		b.t = t
		defer func() { b.t = outer }()
		f(b)
	}
}

// neverAnswered are statuses of the description that a stand-in has no reason for.
var neverAnswered = map[string]string{
	"GET /rate_limit 404":           "GitHub Enterprise Server with rate limits switched off",
	"GET /repos/{owner}/{repo} 301": "a repository that was renamed",
	"GET /user 403":                 "an account that is blocked",
}

// allCovered fails for an endpoint of the stand-in that was never asked, or that hasn't answered all that it may.
func (b *githubBench) allCovered(t *testing.T) {
	for _, e := range gh.Endpoints() {
		key := e.Method + " " + e.Path
		if undescribed[key] {
			if b.spec.doc.Paths.Value(e.Path) != nil {
				t.Errorf("%s is described after all", key)
			}
			continue
		}
		item := b.spec.doc.Paths.Value(e.Path)
		if item == nil || item.GetOperation(e.Method) == nil {
			t.Errorf("%s is not in the description", key)
			continue
		}
		want := []int{http.StatusUnauthorized}
		for status := range item.GetOperation(e.Method).Responses.Map() {
			n, err := strconv.Atoi(status)
			if err != nil {
				t.Fatalf("%s: status %q", key, status)
			}
			if neverAnswered[fmt.Sprintf("%s %d", key, n)] == "" {
				want = append(want, n)
			}
		}
		if strings.Contains(e.Path, "{") {
			want = append(want, http.StatusNotFound)
		}
		if strings.Contains(e.Path, "/actions/") {
			want = append(want, http.StatusForbidden)
		}
		if e.Method == http.MethodGet {
			want = append(want, http.StatusNotModified)
		}
		slices.Sort(want)
		for _, status := range slices.Compact(want) {
			if !b.seen[key][status] {
				t.Errorf("%s never answered %d", key, status)
			}
		}
	}
}

// get asks for what is there, and again with its ETag.
func (b *githubBench) get(path string, into any) {
	b.t.Helper()
	h := b.ask(http.StatusOK, http.MethodGet, path, "", nil, into)
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, "http://github.sim"+path, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+b.s.Info().Token)
	req.Header.Set("If-None-Match", h.Get("ETag"))
	resp, err := b.RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusNotModified {
		b.t.Errorf("GET %s with its ETag: %d, %v", path, resp.StatusCode, err)
	}
}

func (b *githubBench) account() {
	for _, prefix := range []string{"", "/api/v3"} {
		b.get(prefix+"/user", nil)
		b.get(prefix+"/rate_limit", nil)
		b.get(prefix+repoPath, nil)
	}
}

// serve runs one job to its end on a runner of its own.
func (b *githubBench) serve(name string, result runnerproto.Result) int64 {
	b.t.Helper()
	c := b.runner(name)
	m, err := c.Message(b.t.Context(), 0)
	if err != nil || m == nil {
		b.t.Fatalf("%s got %v, %v", name, m, err)
	}
	if err := c.Start(b.t.Context(), m.JobID); err != nil {
		b.t.Fatal(err)
	}
	b.get(fmt.Sprintf("%s/actions/jobs/%d", repoPath, m.JobID), nil) // with a runner and running steps
	b.get(repoRunner, nil)
	if err := c.Complete(b.t.Context(), m.JobID, result); err != nil {
		b.t.Fatal(err)
	}
	return m.JobID
}

// runner makes a runner of the repository with an open session.
func (b *githubBench) runner(name string) *runnerproto.Client {
	b.t.Helper()
	var out struct {
		JIT string `json:"encoded_jit_config"`
	}
	b.ask(http.StatusCreated, http.MethodPost, repoRunner+"/generate-jitconfig", "",
		object{"name": name, "runner_group_id": 1, "labels": []string{"self-hosted", "x64"}}, &out)
	c := b.client(b.t, out.JIT)
	if err := c.Open(b.t.Context(), name, "2.336.0"); err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *githubBench) runsAndJobs() {
	steps := []gh.StepSpec{{Name: "build", Run: "make"}, {Run: "make test"}}
	b.s.AddJobs(gh.JobSpec{Count: 2, Steps: steps})
	waiting := b.s.AddJobs(gh.JobSpec{Status: "waiting"})[0]
	var list struct {
		Runs []struct{ ID int64 } `json:"workflow_runs"`
	}
	runs := repoPath + "/actions/runs"
	b.get(runs+"?status=queued&per_page=100&event=push&branch=main&actor=octocat&created=%3E%3D2020-01-01", &list)
	if len(list.Runs) != 1 {
		b.t.Fatalf("%d runs with a job in the queue", len(list.Runs))
	}
	run := fmt.Sprintf("%s/%d", runs, list.Runs[0].ID)
	b.get(run, nil)
	b.get(run+"/jobs", nil)
	b.ask(http.StatusForbidden, http.MethodPost, run+"/rerun", "", nil, nil)
	b.ask(http.StatusForbidden, http.MethodDelete, run, "", nil, nil)
	good := b.serve("ep-1", runnerproto.Succeeded)
	b.serve("ep-2", runnerproto.Failed)
	b.ask(http.StatusConflict, http.MethodPost, run+"/cancel", "", nil, nil)
	b.ask(http.StatusConflict, http.MethodPost, run+"/force-cancel", "", nil, nil)
	b.ask(http.StatusCreated, http.MethodPost, run+"/rerun-failed-jobs", "", nil, nil)
	b.ask(http.StatusForbidden, http.MethodPost, fmt.Sprintf("%s/actions/jobs/%d/rerun", repoPath, good), "", nil, nil)
	b.get(run+"/attempts/1/jobs", nil)
	b.get(run+"/jobs?filter=all", nil)
	b.get(run, nil) // with a previous attempt
	b.ask(http.StatusNotFound, http.MethodGet, run+"/attempts/3/jobs", "", nil, nil)
	b.serve("ep-3", runnerproto.Cancelled)
	b.ask(http.StatusCreated, http.MethodPost, run+"/rerun", "", nil, nil)
	b.ask(http.StatusAccepted, http.MethodPost, run+"/cancel", "", nil, nil)
	b.get(run+"/jobs", nil) // completed without a runner
	b.ask(http.StatusCreated, http.MethodPost, fmt.Sprintf("%s/actions/jobs/%d/rerun", repoPath, good), "", nil, nil)
	b.ask(http.StatusAccepted, http.MethodPost, run+"/force-cancel", "", nil, nil)
	b.ask(http.StatusNoContent, http.MethodDelete, run, "", nil, nil)
	b.ask(http.StatusNotFound, http.MethodGet, run, "", nil, nil)
	b.get(fmt.Sprintf("%s/actions/jobs/%d", repoPath, waiting), nil)

	dispatch := repoPath + "/actions/workflows/ci.yml/dispatches"
	b.ask(http.StatusNoContent, http.MethodPost, dispatch, "", object{"ref": "main"}, nil)
	b.ask(http.StatusOK, http.MethodPost, dispatch, "", object{"ref": "main", "return_run_details": true}, nil)
	b.ask(http.StatusUnprocessableEntity, http.MethodPost, dispatch, "", object{}, nil)
	b.ask(http.StatusUnprocessableEntity, http.MethodGet, runs+"?status=busy", "", nil, nil)
	b.ask(http.StatusUnprocessableEntity, http.MethodGet, runs+"?created=yesterday", "", nil, nil)
	b.s.AddJobs(gh.JobSpec{Count: 7, PerRun: 1})
	b.get("/api/v3"+runs+"?per_page=2&page=2", nil)
	b.get(fmt.Sprintf("/repositories/%d/actions/runs?per_page=2&page=3", 700_001), nil)
}

func (b *githubBench) runners(base string) {
	body := object{"name": "jit-1", "runner_group_id": 1, "labels": []string{"self-hosted", "gpu"}, "work_folder": "_work"}
	var made struct{ Runner struct{ ID int64 } }
	b.ask(http.StatusCreated, http.MethodPost, base+"/generate-jitconfig", "", body, &made)
	b.ask(http.StatusConflict, http.MethodPost, base+"/generate-jitconfig", "", body, nil)
	for status, bad := range map[int][]any{
		http.StatusBadRequest: {object{"name": "a/b", "runner_group_id": 1, "labels": []string{"x"}}, "{", "[]"},
		http.StatusUnprocessableEntity: {
			object{"name": "b", "labels": []string{"x"}},
			object{"name": "b", "runner_group_id": 99, "labels": []string{"x"}},
			object{"name": "b", "runner_group_id": 1, "labels": []string{}},
			object{"name": 5, "runner_group_id": 1, "labels": []string{"x"}},
		},
	} {
		for _, body := range bad {
			b.ask(status, http.MethodPost, base+"/generate-jitconfig", "", body, nil)
		}
	}
	b.ask(http.StatusCreated, http.MethodPost, base+"/registration-token", "", nil, nil)
	b.ask(http.StatusCreated, http.MethodPost, base+"/remove-token", "", nil, nil)
	b.get(base+"/downloads", nil)
	b.get(base+"?name=jit-1&per_page=1", nil)
	b.get(base+"?name=nobody", nil)
	one := fmt.Sprintf("%s/%d", base, made.Runner.ID)
	b.get(one, nil)
	labels := one + "/labels"
	b.get(labels, nil)
	b.ask(http.StatusOK, http.MethodPost, labels, "", object{"labels": []string{"fast"}}, nil)
	b.ask(http.StatusUnprocessableEntity, http.MethodPost, labels, "", object{"labels": []string{}}, nil)
	b.ask(http.StatusOK, http.MethodPut, labels, "", object{"labels": []string{"slow", "old"}}, nil)
	b.ask(http.StatusUnprocessableEntity, http.MethodPut, labels, "", object{"labels": "slow"}, nil)
	b.ask(http.StatusOK, http.MethodDelete, labels+"/old", "", nil, nil)
	b.ask(http.StatusNotFound, http.MethodDelete, labels+"/old", "", nil, nil)
	b.ask(http.StatusUnprocessableEntity, http.MethodDelete, labels+"/self-hosted", "", nil, nil)
	b.ask(http.StatusOK, http.MethodDelete, labels, "", nil, nil)
	b.ask(http.StatusNoContent, http.MethodDelete, one, "", nil, nil)
	b.ask(http.StatusNotFound, http.MethodDelete, one, "", nil, nil)
}

// busyRunners can't be removed; there, one is made with config.sh's way.
func (b *githubBench) busyRunners() {
	for target, base := range map[string]string{"NREL/EnergyPlus": repoRunner, "NREL": orgRunner} {
		var ticket struct{ Token string }
		b.ask(http.StatusCreated, http.MethodPost, base+"/registration-token", "", nil, &ticket)
		label := "only-" + strings.ReplaceAll(target, "/", "-")
		jit, err := runnerproto.Register(b.t.Context(), b, ticket.Token, runnerproto.RegisterRequest{
			URL: "http://github.sim/" + target, Name: "classic", Labels: []string{label}, Ephemeral: true, NoDefaultLabels: true,
		})
		if err != nil {
			b.t.Fatal(err)
		}
		cfg, err := runnerproto.Decode(jit)
		if err != nil {
			b.t.Fatal(err)
		}
		c := runnerproto.NewClient(cfg, b)
		if err := c.Open(b.t.Context(), "host", "2.336.0"); err != nil {
			b.t.Fatal(err)
		}
		job := b.s.AddJobs(gh.JobSpec{Labels: []string{label}})[0]
		if err := c.Start(b.t.Context(), job); err != nil {
			b.t.Fatal(err)
		}
		b.get(fmt.Sprintf("%s/%d", base, cfg.AgentID), nil)
		b.ask(http.StatusUnprocessableEntity, http.MethodDelete, fmt.Sprintf("%s/%d", base, cfg.AgentID), "", nil, nil)
	}
}

func (b *githubBench) groups() {
	const path = "/orgs/NREL/actions/runner-groups"
	b.ask(http.StatusCreated, http.MethodPost, path, "", object{
		"name": "trusted", "visibility": "selected", "selected_repository_ids": []int{700_001}, "restricted_to_workflows": true,
		"selected_workflows": []string{"NREL/EnergyPlus/.github/workflows/ci.yml@main"},
	}, nil)
	b.ask(http.StatusConflict, http.MethodPost, path, "", object{"name": "Trusted"}, nil)
	b.ask(http.StatusUnprocessableEntity, http.MethodPost, path, "", object{"name": "x", "visibility": "none"}, nil)
	b.ask(http.StatusUnprocessableEntity, http.MethodPost, path, "", object{"name": "x", "runners": []int{1}}, nil)
	b.get(path, nil)
	b.get(path+"?visible_to_repository=EnergyPlus", nil)
}
