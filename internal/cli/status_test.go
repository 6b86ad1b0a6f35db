package cli_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cli"
	"mayfly/internal/fleet"
	"mayfly/internal/runner"
	"mayfly/internal/web"
)

// shown is a fleet with one of everything.
func shown() fleet.Status {
	now := time.Now()
	return fleet.Status{
		At: now, Ready: false, Reasons: []string{"pool ep: the last runner failed"}, Warnings: []string{"template old: build it anew"},
		Proxmox: fleet.Health{OK: true, LastOK: now.Add(-2 * time.Second)}, GitHub: fleet.Health{Error: "502", Since: now.Add(-3 * time.Minute)},
		Capacity: fleet.CapacityStatus{MaxRunners: 8, Runners: 2, VMIDs: 100, VMIDsFree: 97},
		Pools:    []fleet.PoolStatus{{Name: "ep", Target: "NREL/EnergyPlus", Max: 8, Runners: 2, Busy: 1, Waiting: 1, Template: "debian-12"}},
		Runners: []fleet.RunnerStatus{
			{Name: "ep-1", VMID: 201, Node: "pve1", Pool: "ep", State: runner.Busy, Created: now.Add(-90 * time.Second), Job: 11, Run: 5},
			{Name: "ep-2", VMID: 202, Node: "pve1", Pool: "ep", State: runner.Failed, Created: now.Add(-25 * time.Hour), Job: 13, Run: 6, Reason: "its guest hangs"},
		},
		Waiting: []fleet.WaitingStatus{{
			Job: 12, Run: 5, Name: "build\x1b[2J", Target: "NREL/EnergyPlus", Labels: []string{"self-hosted", "linux"}, Pool: "ep", Since: now.Add(-2 * time.Hour),
			Reason: fleet.Reason{Code: fleet.WaitPoolMax, Text: "pool ep is at its max of 8"},
		}},
		Quarantine: []fleet.Quarantine{{VMID: 230, Node: "pve1", Why: "its clone was killed midway", Command: "qm unlock 230", Since: now.Add(-time.Minute)}},
		Nodes: []fleet.NodeStatus{
			{Name: "pve1", State: fleet.NodeOnline, Runners: 2, Memory: 64 * runner.GiB, MemoryFree: 20 * runner.GiB, Cores: 16, CoresTaken: 8},
			{Name: "pve2", State: fleet.NodeMaintenance, Why: "an administrator has put it into maintenance"},
		},
		Cordons: []fleet.CordonStatus{
			{Kind: fleet.ThingNode, Node: "pve2", Failures: 3, Since: now, Until: now.Add(30 * time.Second), Reason: "clones fail"},
			{Kind: fleet.ThingStorage, Name: "ceph", Failures: 4, Since: now.Add(-2 * time.Minute), Until: now.Add(-time.Minute), Reason: "no space left"},
		},
		Unclaimed: []fleet.UnclaimedStatus{{VMID: 240, Node: "pve1", Name: "mine", Why: "no Mayfly marker"}},
		Rogues:    []fleet.RogueStatus{{ID: 77, Name: "laptop", Target: "NREL/EnergyPlus", Labels: []string{"linux"}, Since: now.Add(-time.Hour), Why: "not ours"}},
	}
}

type fixedFleet fleet.Status

func (f fixedFleet) Status() fleet.Status { return fleet.Status(f) }

// asked runs a command against a dispatcher with that status.
func asked(t *testing.T, s fleet.Status, args ...string) (code int, out, errs string) {
	t.Helper()
	srv := httptest.NewServer(web.Handler(fixedFleet(s), nil, time.Now))
	defer srv.Close()
	return ran(t, append(args, "--address", strings.TrimPrefix(srv.URL, "http://"))...)
}

func ran(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr strings.Builder
	code = cli.Main(t.Context(), args, strings.NewReader(""), &stdout, &stderr, nil)
	return code, stdout.String(), stderr.String()
}

func TestStatusShowsTheFleet(t *testing.T) {
	code, out, errs := asked(t, shown(), "status")
	if code != cli.ExitWarning || errs != "" {
		t.Errorf("exit %d, stderr %q", code, errs)
	}
	squeezed := strings.Join(strings.Fields(out), " ")
	for _, words := range []string{
		"NOT READY: 2 runners of at most 8, 1 waiting job, 97 of 100 VMIDs free",
		"Proxmox answers, last 2s ago",
		"GitHub in trouble for 3m00s: 502",
		"not ready because: pool ep: the last runner failed",
		"warnings: template old: build it anew",
		"ep NREL/EnergyPlus 2/8 0 1 1 debian-12",
		"pve1 online 2 20.0 GiB of 64.0 GiB 8 of 16",
		"pve2 maintenance 0 - 0 an administrator has put it into maintenance",
		"ep-1 ep 201 pve1 busy 1m30s 11",
		"ep-2 ep 202 pve1 failed 1d01h 13 its guest hangs",
		"12 ep 2h00m pool_at_max pool ep is at its max of 8",
		"230 pve1 1m00s its clone was killed midway qm unlock 230",
		"node pve2 3 in 30s clones fail",
		"storage ceph all 4 by the next runner no space left",
		"240 pve1 mine no Mayfly marker",
		"laptop 77 NREL/EnergyPlus linux 1h00m not ours",
	} {
		if !strings.Contains(squeezed, words) {
			t.Errorf("status lacks %q:\n%s", words, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Errorf("a job's name reaches the terminal as it is: %q", out)
	}
	ready := shown()
	ready.Ready = true
	if code, _, _ := asked(t, ready, "status"); code != cli.ExitOK {
		t.Errorf("exit %d for a fleet that is ready", code)
	}
}

func TestStatusAsJSONIsWhatTheDispatcherSays(t *testing.T) {
	_, out, _ := asked(t, shown(), "status", "--json")
	var s fleet.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil || len(s.Runners) != 2 || s.Waiting[0].Run != 5 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestWhySaysWhatBecomesOfAJob(t *testing.T) {
	for _, tc := range []struct {
		job   string
		words []string
	}{
		{"12", []string{"has waited for 2h00m", "labels  self-hosted, linux", "pool    ep: 2 of at most 8 runners", "pool_at_max: pool ep is at its max of 8", "raise the pool's max"}},
		{"11", []string{"job 11 is on runner ep-1 (VM 201 on pve1), which is busy", "nothing: what it does is in its log on GitHub"}},
		{"13", []string{"which is failed", "remark  its guest hangs", "runner=ep-2"}},
		{"https://github.com/NREL/EnergyPlus/actions/runs/5/job/11", []string{"job 11 is on runner ep-1"}},
		{"https://github.com/NREL/EnergyPlus/actions/runs/5", []string{"job 11 is on runner", `job 12 "build`}},
		{"https://github.com/NREL/EnergyPlus/actions/runs/5/attempts/2", []string{"job 11 is on runner"}},
	} {
		code, out, errs := asked(t, shown(), "why", tc.job)
		if code != cli.ExitOK || errs != "" {
			t.Errorf("why %s: exit %d, %q", tc.job, code, errs)
		}
		for _, w := range tc.words {
			if !strings.Contains(out, w) {
				t.Errorf("why %s lacks %q:\n%s", tc.job, w, out)
			}
		}
	}
}

func TestWhySaysWhatItDoesNotKnow(t *testing.T) {
	well := shown()
	well.GitHub = fleet.Health{OK: true, LastOK: time.Now()}
	for _, tc := range []struct {
		name   string
		status fleet.Status
		job    string
		code   int
		words  string
	}{
		{"unknown", well, "99", cli.ExitFailure, "job 99 isn't known to the dispatcher: it has ended"},
		{"unknown while GitHub is down", shown(), "99", cli.ExitFailure, "which can't read GitHub: 502"},
		{"no job", well, "main", cli.ExitUsage, `JOB "main": want a job's id`},
		{"a repository", well, "https://github.com/NREL/EnergyPlus", cli.ExitUsage, "want a job's id"},
		{"a broken address", well, "https://github.com/NREL/EnergyPlus/actions/runs/5/job/x", cli.ExitUsage, "want a job's id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, _, errs := asked(t, tc.status, "why", tc.job)
			if code != tc.code || !strings.Contains(errs, tc.words) || strings.Count(errs, "\n") != 1 {
				t.Errorf("exit %d, %q; want %d, %q", code, errs, tc.code, tc.words)
			}
		})
	}
}

func TestNoDispatcherIsSaidWithItsAddress(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	addr := strings.TrimPrefix(srv.URL, "http://")
	if code, _, errs := ran(t, "status", "--address", addr); code != cli.ExitFailure || !strings.Contains(errs, "no dispatcher, or an older one") {
		t.Errorf("exit %d, %q", code, errs)
	}
	srv.Close()
	code, _, errs := ran(t, "status", "--address", addr)
	if code != cli.ExitFailure || !strings.Contains(errs, "no dispatcher answers at http://"+addr+"/status (--address)") || !strings.Contains(errs, "--address HOST:PORT") {
		t.Errorf("exit %d, %q", code, errs)
	}
	if code, _, errs := ran(t, "why", "1", "--address", "ftp://x"); code != cli.ExitUsage || !strings.Contains(errs, "want HOST:PORT") {
		t.Errorf("exit %d, %q", code, errs)
	}
}
