package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

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
		Runners: []gh.RunnerState{
			{Name: "r-1", RemovedAt: after(2), Jobs: []int64{1}}, {Name: "r-2", RemovedAt: after(4), Jobs: []int64{2}},
		},
		Requests: []gh.RequestRecord{{Login: "mayfly-dispatcher"}, {}},
	}
	return p, g
}

func TestDemoSummaryComesFromWhatTheStandInsSaw(t *testing.T) {
	s := summarize(goodDemo())
	if wrong := s.wrong(2, 1); len(wrong) > 0 {
		t.Errorf("wrong: %v", wrong)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`"kind":"summary"`, `"jobs_done":2`, `"jobs_left":0`, `"vms_left":0`, `"registrations_left":0`, `"foreign_vms":2`, `"foreign_vms_touched":0`,
		`"jobs_per_vm_max":1`, `"queue_to_start_ms":{"p50":1500,"p95":3500,"max":3500}`, `"requests_proxmox":3`, `"requests_github":1`,
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("no %s in %s", part, text)
		}
	}
	var out bytes.Buffer
	s.print(&out)
	for _, line := range []string{"2 jobs done, each in a VM of its own; at most 1 VM at once", "left behind: 0 VMs of 2, 0 registrations", "VMs of others touched: 0 of 2"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no %q in:\n%s", line, out.String())
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
		"two jobs on a VM":   {func(_ *pve.State, g *gh.State) { g.Runners[0].Jobs = []int64{1, 2} }, "2 jobs on one VM"},
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
			wrong := summarize(p, g).wrong(2, 1)
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
