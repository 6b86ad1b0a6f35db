package metrics_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/metrics"
	"mayfly/internal/runner"
)

// full is a recorder that has something to tell for each of its metrics.
func full() *metrics.Recorder {
	now := time.Now()
	r := metrics.New(metrics.Build{Version: "v1.2.3", Commit: "abc", Go: "go1.26"})
	r.Watch(metrics.Sources{
		Status: func() fleet.Status {
			return fleet.Status{
				At: now, Ready: true, Standby: "another one works", Rivals: make([]fleet.RivalStatus, 1), Warnings: []string{"old"},
				Proxmox: fleet.Health{OK: true}, Pools: []fleet.PoolStatus{{Name: "ep", Max: 8}, {Name: "docs", Max: 2}},
				Capacity: fleet.CapacityStatus{MaxRunners: 10, Runners: 3, VMIDs: 100, VMIDsFree: 90},
				Runners: []fleet.RunnerStatus{
					{Name: "ep-1", Pool: "ep", Node: "pve1", State: runner.Busy, Job: 900000000047111},
					{Name: "ep-2", Pool: "ep", Node: "pve1", State: runner.Busy, Job: 900000000047112},
					{Name: "ep-3", Pool: "ep", Node: "pve2", State: runner.Booting},
				},
				Waiting: []fleet.WaitingStatus{
					{Job: 900000000047113, Pool: "ep", Since: now.Add(-time.Hour), Reason: fleet.Reason{Code: fleet.WaitRunner}},
					{Job: 900000000047114, Since: now.Add(-time.Minute), Reason: fleet.Reason{Code: fleet.WaitNoPool}},
				},
				Quarantine: make([]fleet.Quarantine, 1), Unclaimed: make([]fleet.UnclaimedStatus, 2), Rogues: make([]fleet.RogueStatus, 3),
				Nodes: []fleet.NodeStatus{
					{Name: "pve1", State: fleet.NodeOnline, Runners: 2, Memory: 64 << 30, MemoryFree: 20 << 30, CoresTaken: 8},
					{Name: "pve2", State: fleet.NodeCordoned, Runners: 1},
				},
				Cordons: []fleet.CordonStatus{{Kind: fleet.ThingNode, Node: "pve2"}, {Kind: fleet.ThingTemplate, Node: "pve2", Name: "9000"}, {Kind: fleet.ThingTemplate, Node: "pve2", Name: "9001"}},
			}
		},
		Budget: func() github.Budget { return github.Budget{Limit: 5000, Remaining: 4200, Reset: now.Add(time.Hour)} },
	})
	r.Passed(fleet.Passage{Stage: fleet.StageBoot, Pool: "ep", Node: "pve1", Result: fleet.ResultOK, Took: 12 * time.Second})
	r.Failed(fleet.Failure{Stage: fleet.StageBoot, Cause: fleet.CauseTimeout, Pool: "ep", Node: "pve1"})
	r.Polled(fleet.Poll{Source: fleet.SourceProxmox, At: now, OK: true})
	r.Polled(fleet.Poll{Source: fleet.SourceGitHub, Target: "NREL/EnergyPlus", At: now})
	t := r.Transport(metrics.Proxmox)(answer(200))
	req := httptest.NewRequest(http.MethodPost, "https://pve1:8006/api2/json/nodes/pve1/qemu/9000/clone", nil)
	if res, err := t.RoundTrip(req); err == nil {
		_ = res.Body.Close()
	}
	return r
}

type answer int

func (a answer) RoundTrip(*http.Request) (*http.Response, error) {
	if a == 0 {
		return nil, errors.New("cut")
	}
	return &http.Response{StatusCode: int(a), Body: http.NoBody}, nil
}

// page is what /metrics shows.
func page(t *testing.T, r *metrics.Recorder) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %v: %s", w.Code, err, body)
	}
	return string(body)
}

func TestPageTellsTheFleet(t *testing.T) {
	got := page(t, full())
	for _, line := range []string{
		`mayfly_build_info{commit="abc",go_version="go1.26",version="v1.2.3"} 1`,
		"mayfly_ready 1",
		"mayfly_standby 1",
		`mayfly_runners{node="pve1",pool="ep",state="busy"} 2`,
		`mayfly_runners{node="pve2",pool="ep",state="booting"} 1`,
		`mayfly_demand_jobs{pool="ep",state="running"} 2`,
		`mayfly_demand_jobs{pool="docs",state="waiting"} 0`,
		`mayfly_demand_jobs{pool="",state="waiting"} 1`,
		`mayfly_waiting_jobs{code="no_pool_matches",pool=""} 1`,
		"mayfly_vmids_free 90",
		"mayfly_quarantined_vms 1",
		`mayfly_node_up{node="pve1"} 1`,
		`mayfly_node_up{node="pve2"} 0`,
		`mayfly_node_memory_free_bytes{node="pve1"} 2.147483648e+10`,
		`mayfly_node_cores_taken{node="pve1"} 8`,
		`mayfly_cordoned{kind="node",node="pve2"} 1`,
		`mayfly_cordoned{kind="template",node="pve2"} 2`,
		"mayfly_rogue_runners 3",
		`mayfly_source_up{source="github"} 0`,
		`mayfly_poll_failures_total{source="github",target="NREL/EnergyPlus"} 1`,
		`mayfly_poll_failures_total{source="proxmox",target=""} 0`,
		`mayfly_stage_duration_seconds_bucket{node="pve1",pool="ep",result="ok",stage="boot",le="15"} 1`,
		`mayfly_stage_duration_seconds_bucket{node="pve1",pool="ep",result="ok",stage="boot",le="10"} 0`,
		`mayfly_failures_total{cause="timeout",node="pve1",pool="ep",stage="boot"} 1`,
		`mayfly_api_requests_total{method="POST",route="/nodes/*/qemu/*/clone",side="proxmox",status="200"} 1`,
		`mayfly_api_requests_in_flight{side="proxmox"} 0`,
		"mayfly_github_rate_limit_remaining 4200",
	} {
		if !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("the page lacks %s", line)
		}
	}
	for _, secretive := range []string{"900000000047111", "900000000047113", "ep-1"} {
		if strings.Contains(got, secretive) {
			t.Errorf("the page names %s: the number of series would grow with the work done", secretive)
		}
	}
}

func TestNothingIsToldOfAFleetThatIsntThereYet(t *testing.T) {
	if got := page(t, metrics.New(metrics.Build{})); strings.Contains(got, "mayfly_ready") {
		t.Error("mayfly_ready is there before there is a fleet")
	}
}

func TestNamesKeepPrometheusRules(t *testing.T) {
	families, err := full().Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "mayfly_") { // the library's own are as they are
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	gathered := map[string]bool{}
	for _, f := range families {
		gathered[f.GetName()] = true
	}
	for _, m := range metrics.All() {
		if !gathered[m.Name] {
			t.Errorf("%s is listed, but never there", m.Name)
		}
		delete(gathered, m.Name)
	}
	for name := range gathered {
		if strings.HasPrefix(name, "mayfly_") {
			t.Errorf("%s isn't listed by All", name)
		}
	}
}

func TestRoutesAreAsManyAsKindsOfCalls(t *testing.T) {
	for path, want := range map[string]string{
		"/api2/json/cluster/resources":                                "/cluster/resources",
		"/api2/json/nodes/storage/qemu/217/agent/exec":                "/nodes/*/qemu/*/agent/exec",
		"/api2/json/nodes/pve1/tasks/UPID:pve1:0001:x/status":         "/nodes/*/tasks/*/status",
		"/api2/json/nodes/pve1/storage/local/upload":                  "/nodes/*/storage/*/upload",
		"/api2/json/nodes/pve1/storage/status/status":                 "/nodes/*/storage/*/status",
		"/repos/actions/runner/actions/runners/42":                    "/repos/*/*/actions/runners/*",
		"/api/v3/repos/a/b/actions/runs/7/jobs":                       "/repos/*/*/actions/runs/*/jobs",
		"/repos/a/b/actions/runners/generate-jitconfig":               "/repos/*/*/actions/runners/generate-jitconfig",
		"/orgs/labels/actions/runners":                                "/orgs/*/actions/runners",
		"/repos/a/b/a/very/long/path/that/nobody/of/us/has/asked/for": "/repos/*/*/*/*/*/*/*/...",
	} {
		if got := metrics.Route(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestRequestsWithoutReplyAreErrors(t *testing.T) {
	r := metrics.New(metrics.Build{})
	res, err := r.Transport(metrics.GitHub)(answer(0)).RoundTrip(httptest.NewRequest(http.MethodGet, "https://api.github.com/rate_limit", nil))
	if err == nil {
		_ = res.Body.Close()
		t.Fatal("the error is lost")
	}
	if got := page(t, r); !strings.Contains(got, `mayfly_api_requests_total{method="GET",route="/rate_limit",side="github",status="error"} 1`) {
		t.Errorf("the error isn't counted:\n%s", got)
	}
}
