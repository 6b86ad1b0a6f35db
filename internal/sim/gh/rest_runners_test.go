package gh

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mayfly/internal/sim/runnerproto"
)

func TestJITConfigNamesRunnerServerAndSecretInGitHubsForm(t *testing.T) {
	for name, tc := range map[string]struct {
		o    Options
		want string
	}{
		"the address that was asked": {Options{}, "http://github.sim/_runner"},
		"the address for guests":     {Options{RunnerURL: "http://10.0.2.2:8080/"}, "http://10.0.2.2:8080/_runner"},
	} {
		b := inProcess(t, tc.o)
		var out struct {
			Runner  runnerJSON
			Encoded string `json:"encoded_jit_config"`
		}
		body := jitBody("ep-1", "self-hosted", "Linux", "SELF-hosted", "gpu")
		body["work_folder"] = "w"
		b.must(http.StatusCreated, http.MethodPost, "/api/v3"+runners+"/generate-jitconfig", body, &out)
		cfg, err := runnerproto.Decode(out.Encoded)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.ServerURL != tc.want || cfg.AgentID != out.Runner.ID || cfg.Name != "ep-1" || cfg.WorkFolder != "w" || !cfg.Ephemeral || cfg.PoolID != 1 ||
			len(cfg.RSA.Modulus) != 256 {
			t.Errorf("%s: %s at %s, %+v", name, cfg, cfg.ServerURL, cfg.RSA.Exponent)
		}
		var labels []string
		for _, l := range out.Runner.Labels {
			labels = append(labels, l.Name+" "+l.Type)
		}
		if want := []string{"self-hosted read-only", "Linux read-only", "gpu custom"}; !slices.Equal(labels, want) {
			t.Errorf("labels %v, want %v", labels, want)
		}
	}
}

func TestJITConfigIsRefusedAsGitHubRefusesIt(t *testing.T) {
	b := inProcess(t, Options{})
	b.mint("taken", "x")
	many := make([]string, 101)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	for name, tc := range map[string]struct {
		body   any
		status int
		says   string
	}{
		"no name":             {object{"runner_group_id": 1, "labels": []string{"x"}}, 422, `"name" wasn't supplied`},
		"no group":            {object{"name": "a", "labels": []string{"x"}}, 422, `"runner_group_id" wasn't supplied`},
		"no labels":           {object{"name": "a", "runner_group_id": 1}, 422, `"labels" wasn't supplied`},
		"empty labels":        {object{"name": "a", "runner_group_id": 1, "labels": []string{}}, 422, "properties/labels"},
		"too many labels":     {jitBody("a", many...), 422, "100"},
		"blank label":         {jitBody("a", " "), 422, "Label"},
		"long label":          {jitBody("a", strings.Repeat("l", 257)), 422, "Label"},
		"label of two":        {jitBody("a", "x,y"), 422, "Label"},
		"long name":           {jitBody(strings.Repeat("n", 65), "x"), 400, "64 characters"},
		"forbidden character": {jitBody("a:b", "x"), 400, "none of"},
		"unknown group":       {object{"name": "a", "runner_group_id": 2, "labels": []string{"x"}}, 422, "Runner group 2"},
		"same name":           {jitBody("TAKEN", "x"), 409, "Already exists - A runner with the name TAKEN already exists"},
		"wrong type":          {object{"name": "a", "runner_group_id": "1", "labels": []string{"x"}}, 422, "properties/runner_group_id"},
		"no JSON":             {"{", 400, "Problems parsing JSON"},
		"no object":           {"[]", 400, "JSON object"},
	} {
		g := b.ask(http.MethodPost, runners+"/generate-jitconfig", tc.body)
		var says struct{ Message string }
		if err := json.Unmarshal(g.body, &says); err != nil || g.status != tc.status || !strings.Contains(says.Message, tc.says) {
			t.Errorf("%s: %d %s, want %d with %q", name, g.status, g.body, tc.status, tc.says)
		}
	}
	if n := len(b.s.Runners()); n != 1 {
		t.Errorf("%d registrations after refusals", n)
	}
}

func TestRunnersAreListedPerScopeAndFoundByExactName(t *testing.T) {
	b := inProcess(t, Options{Repositories: []RepositorySpec{{Name: "NREL/other"}}})
	for i := range 3 {
		b.mint(fmt.Sprintf("ep-%d", i), "x")
	}
	b.must(http.StatusCreated, http.MethodPost, "/orgs/NREL/actions/runners/generate-jitconfig", jitBody("ep-1", "x"), nil) // another scope
	for path, want := range map[string]int{
		runners: 3, runners + "?name=ep-1": 1, runners + "?name=ep": 0, runners + "?name=EP-1": 0, runners + "?name=": 0,
		"/repos/NREL/other/actions/runners": 0, "/orgs/NREL/actions/runners": 1, "/orgs/nrel/actions/runners?name=ep-1": 1,
	} {
		var list struct {
			Total   int `json:"total_count"`
			Runners []runnerJSON
		}
		b.must(http.StatusOK, http.MethodGet, path, nil, &list)
		if list.Total != want || len(list.Runners) != want {
			t.Errorf("%s: %d, %d in the list; want %d", path, list.Total, len(list.Runners), want)
		}
	}
	b.must(http.StatusNotFound, http.MethodGet, "/repos/NREL/other/actions/runners/101", nil, nil)
	b.must(http.StatusNotFound, http.MethodGet, runners+"/none", nil, nil)
}

func TestLabelsCanBeChangedButForGitHubsOwn(t *testing.T) {
	b := inProcess(t, Options{})
	_, id := b.mint("ep-1", "self-hosted", "gpu")
	path := fmt.Sprintf("%s/%d/labels", runners, id)
	names := func(method, path string, body any) string {
		var list struct{ Labels []labelJSON }
		b.must(http.StatusOK, method, path, body, &list)
		var out []string
		for _, l := range list.Labels {
			out = append(out, l.Name)
		}
		return strings.Join(out, " ")
	}
	for _, tc := range []struct {
		method, path string
		body         any
		want         string
	}{
		{"GET", path, nil, "self-hosted gpu"},
		{"POST", path, object{"labels": []string{"GPU", "big"}}, "self-hosted gpu big"},
		{"DELETE", path + "/BIG", nil, "self-hosted gpu"},
		{"PUT", path, object{"labels": []string{"a", "b"}}, "self-hosted a b"},
		{"PUT", path, object{"labels": []string{}}, "self-hosted"},
		{"POST", path, object{"labels": []string{"c"}}, "self-hosted c"},
		{"DELETE", path, nil, "self-hosted"},
	} {
		if got := names(tc.method, tc.path, tc.body); got != tc.want {
			t.Errorf("%s %v: %q, want %q", tc.method, tc.body, got, tc.want)
		}
	}
	b.must(http.StatusUnprocessableEntity, http.MethodDelete, path+"/self-hosted", nil, nil)
	b.must(http.StatusNotFound, http.MethodDelete, path+"/gpu", nil, nil)
}

func TestNewLabelGetsAWaitingJob(t *testing.T) {
	b := inProcess(t, Options{})
	id := b.s.AddJobs(JobSpec{Labels: []string{"gpu"}})[0]
	_, runner := b.online("ep-1", "self-hosted")
	if j := b.job(id); j.RunnerID != 0 {
		t.Fatalf("%+v", j)
	}
	b.must(http.StatusOK, http.MethodPost, fmt.Sprintf("%s/%d/labels", runners, runner), object{"labels": []string{"gpu"}}, nil)
	if j := b.job(id); j.RunnerID != runner {
		t.Errorf("%+v", j)
	}
}

func TestGroupsDecideWhoseJobsAnOrganizationsRunnersTake(t *testing.T) {
	b := inProcess(t, Options{Repositories: []RepositorySpec{{Name: "NREL/open", Public: true}, {Name: "NREL/other"}}})
	group := func(body object) int64 {
		var g groupJSON
		b.must(http.StatusCreated, http.MethodPost, "/orgs/NREL/actions/runner-groups", body, &g)
		return g.ID
	}
	trusted := group(object{"name": "trusted", "visibility": "selected", "selected_repository_ids": []int64{b.s.world.repository("NREL", "other").id}})
	ci := group(object{"name": "ci", "restricted_to_workflows": true, "selected_workflows": []string{"NREL/EnergyPlus/.github/workflows/ci.yml@main"}})
	anyone := group(object{"name": "anyone", "allows_public_repositories": true})
	for _, tc := range []struct {
		repo, workflow string
		want           map[int64]bool // by group
	}{
		{"NREL/EnergyPlus", "CI", map[int64]bool{defaultGroup: true, ci: true, anyone: true}},
		{"NREL/EnergyPlus", "Nightly", map[int64]bool{defaultGroup: true, anyone: true}},
		{"NREL/other", "CI", map[int64]bool{defaultGroup: true, trusted: true, anyone: true}},
		{"NREL/open", "CI", map[int64]bool{anyone: true}},
		{"octo/cat", "CI", map[int64]bool{}},
	} {
		for _, id := range []int64{defaultGroup, trusted, ci, anyone} {
			name := fmt.Sprintf("%s %s %d", strings.ReplaceAll(tc.repo, "/", " "), tc.workflow, id)
			var out struct {
				Encoded string `json:"encoded_jit_config"`
			}
			b.must(http.StatusCreated, http.MethodPost, "/orgs/NREL/actions/runners/generate-jitconfig",
				object{"name": name, "runner_group_id": id, "labels": []string{name}}, &out)
			if err := b.client(out.Encoded).Open(t.Context(), name, "2.336.0"); err != nil {
				t.Fatal(err)
			}
			job := b.s.AddJobs(JobSpec{Repository: tc.repo, Workflow: tc.workflow, Labels: []string{name}})[0]
			if got := b.job(job).RunnerID != 0; got != tc.want[id] {
				t.Errorf("job of %s, workflow %s, on a runner of group %d: %t", tc.repo, tc.workflow, id, got)
			}
		}
	}
}
