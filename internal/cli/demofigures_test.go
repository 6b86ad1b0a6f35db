package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// goodDemo is what the stand-ins saw of two jobs that went well, one after the other.
func goodDemo() (pve.State, gh.State) {
	gone := func(s float64) *time.Time {
		t := after(s)
		return &t
	}
	p := pve.State{
		VMs: []pve.VMState{
			{VMID: 9000, Template: true, DigestStart: "a", DigestNow: "a"},
			{VMID: 200, Decoy: "our tags", DigestStart: "b", DigestNow: "b"},
			{VMID: 201, Name: "r-1", Source: 9000, CreatedAt: after(1), DestroyedAt: gone(3)},
			{VMID: 202, Name: "r-2", Source: 9000, CreatedAt: after(3), DestroyedAt: gone(5)},
		},
		Requests: []pve.RequestState{
			{Method: "POST", Path: "/nodes/pve1/qemu/9000/clone", VMID: 9000, NewID: 201}, {Method: "GET", VMID: 200}, {Method: "DELETE", VMID: 201},
		},
	}
	g := gh.State{
		Jobs: []gh.JobState{
			{ID: 1, RunnerName: "r-1", Status: "completed", Conclusion: "success", Starts: 1, CreatedAt: after(0), StartedAt: after(1.5)},
			{ID: 2, RunnerName: "r-2", Status: "completed", Conclusion: "success", Starts: 1, CreatedAt: after(0), StartedAt: after(3.5)},
		},
		Runners:  []gh.RunnerState{{Name: "r-1", RemovedAt: after(2)}, {Name: "r-2", RemovedAt: after(4)}},
		Requests: []gh.RequestRecord{{Login: "mayfly-dispatcher"}, {}},
	}
	return p, g
}

func TestDemoFiguresComeFromWhatTheStandInsSaw(t *testing.T) {
	f := countDemo(goodDemo())
	want := demoFigures{
		JobsDone: 2, VMsMade: 2, VMsAtOnce: 1, JobsPerVM: 1, RegistrationsMade: 2, ForeignVMs: 2,
		QueueToStart: demoSpread{P50: 1500, P95: 3500, Max: 3500}, RequestsToProxmox: 3, RequestsToGitHub: 1,
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	if wrong := (demoSummary{demoFigures: f}).wrong(2, 1); len(wrong) > 0 {
		t.Errorf("wrong: %v", wrong)
	}
	text, err := json.Marshal(demoSummary{Kind: "summary", demoFigures: f})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"kind":"summary"`, `"jobs_done":2`, `"vms_left":0`, `"registrations_left":0`, `"foreign_vms_touched":0`, `"jobs_per_vm_max":1`, `"queue_to_start_ms":{"p50":1500,"p95":3500,"max":3500}`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("no %s in %s", part, text)
		}
	}
}

func TestDemoFindsEachFigureThatIsWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(*pve.State, *gh.State)
		says  string
	}{
		"job failed":         {func(_ *pve.State, g *gh.State) { g.Jobs[0].Conclusion = "failure" }, "1 jobs failed"},
		"job not done":       {func(_ *pve.State, g *gh.State) { g.Jobs[0].Conclusion = "" }, "1 jobs done, want 2"},
		"job started twice":  {func(_ *pve.State, g *gh.State) { g.Jobs[0].Starts = 2 }, "1 jobs started twice"},
		"two jobs on a VM":   {func(_ *pve.State, g *gh.State) { g.Jobs[0].RunnerName = "r-2" }, "2 jobs on one VM"},
		"VM left":            {func(p *pve.State, _ *gh.State) { p.VMs[3].DestroyedAt = nil }, "1 VMs left"},
		"registration left":  {func(_ *pve.State, g *gh.State) { g.Runners[1].RemovedAt = time.Time{} }, "1 registrations left"},
		"foreign VM changed": {func(p *pve.State, _ *gh.State) { p.VMs[1].DigestNow = "c" }, "1 VMs of others touched"},
		"foreign VM asked":   {func(p *pve.State, _ *gh.State) { p.Requests[2].VMID = 200 }, "1 VMs of others touched"},
		"template changed":   {func(p *pve.State, _ *gh.State) { p.VMs[0].DigestNow = "c" }, "1 VMs of others touched"},
		"too many at once":   {func(p *pve.State, _ *gh.State) { p.VMs[3].CreatedAt = after(2) }, "2 VMs at once, want at most 1"},
		"nothing to touch":   {func(p *pve.State, _ *gh.State) { p.VMs = p.VMs[2:] }, "no VM of others"},
	} {
		t.Run(name, func(t *testing.T) {
			p, g := goodDemo()
			tc.spoil(&p, &g)
			wrong := demoSummary{demoFigures: countDemo(p, g)}.wrong(2, 1)
			found := false
			for _, err := range wrong {
				found = found || strings.Contains(err.Error(), tc.says)
			}
			if !found {
				t.Errorf("%v, want %q among it", wrong, tc.says)
			}
		})
	}
}
