package world_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

func at(seconds int) time.Time {
	return time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC).Add(time.Duration(seconds) * time.Second)
}

func states() (pve.State, gh.State) {
	gone1, gone2 := at(40), at(60)
	p := pve.State{
		VMs: []pve.VMState{
			{VMID: 9000, Template: true, DigestStart: "a", DigestNow: "a"},
			{VMID: 200, Decoy: "our tags", Source: 9000, DigestStart: "b", DigestNow: "b"},
			{VMID: 201, Name: "r-1", Source: 9000, CreatedAt: at(1), StartedAt: []time.Time{at(4)}, StoppedAt: []time.Time{at(35)}, DestroyedAt: &gone1},
			{VMID: 201, Name: "r-2", Source: 9000, CreatedAt: at(40), StartedAt: []time.Time{at(42)}, StoppedAt: []time.Time{at(58)}, DestroyedAt: &gone2},
		},
		Requests: []pve.RequestState{
			{At: at(0), Method: "POST", Path: "/nodes/a/qemu/9000/clone", VMID: 9000, NewID: 201, Status: 200},
			{At: at(5), Took: 3 * time.Second, Method: "POST", Path: "/nodes/a/qemu/201/agent/exec", VMID: 201, Status: 500},
			{At: at(9), Took: time.Second, Method: "POST", Path: "/nodes/a/qemu/201/agent/exec", VMID: 201, Status: 200},
			{At: at(39), Method: "POST", Path: "/nodes/a/qemu/9000/clone", VMID: 9000, NewID: 201, Status: 200},
			{At: at(43), Took: time.Second, Method: "POST", Path: "/nodes/a/qemu/201/agent/exec", VMID: 201, Status: 200},
			{At: at(44), Method: "GET", Path: "/nodes/a/qemu/200/config", VMID: 200, Status: 200},
		},
	}
	g := gh.State{
		Jobs: []gh.JobState{
			{ID: 1, RunnerName: "r-1", Conclusion: "success", CreatedAt: at(0), StartedAt: at(13), CompletedAt: at(15)},
			{ID: 2, RunnerName: "r-2", Conclusion: "failure", CreatedAt: at(30), StartedAt: at(47), CompletedAt: at(50)},
			{ID: 3, Status: "queued", CreatedAt: at(31)},
		},
		Runners: []gh.RunnerState{
			{Name: "r-1", FirstSeen: at(12), RemovedAt: at(15), Jobs: []int64{1}},
			{Name: "r-2", FirstSeen: at(45), RemovedAt: at(50), Jobs: []int64{2}},
		},
	}
	return p, g
}

func TestReportHasTheFiguresOfTheStandInsRecords(t *testing.T) {
	want := world.Report{
		JobsDone: 1, JobsFailed: 1, VMsMade: 2, JobsPerVMMax: 1, RunnersAtOnceMax: 1,
		QueueToStart: world.Spread{P50: 13000, P95: 17000, Max: 17000},
		Stages: world.Stages{
			Clone: world.Spread{P50: 3000, P95: 4000, Max: 4000}, Agent: world.Spread{P50: 2000, P95: 6000, Max: 6000},
			Online: world.Spread{P50: 1000, P95: 2000, Max: 2000}, Started: world.Spread{P50: 1000, P95: 2000, Max: 2000},
			PowerOff: world.Spread{P50: 8000, P95: 20000, Max: 20000}, Destroyed: world.Spread{P50: 2000, P95: 5000, Max: 5000},
		},
	}
	if diff := cmp.Diff(want, world.NewReport(states())); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestReportShowsWhatWentWrong(t *testing.T) {
	p, g := states()
	p.VMs[1].DigestNow = "changed"
	p.Requests = append(p.Requests, pve.RequestState{Method: "DELETE", Path: "/nodes/a/qemu/9000", VMID: 9000, Status: 403})
	p.VMs[2].DestroyedAt = nil
	g.Runners[0].Jobs = []int64{1, 4}
	g.Runners[1].RemovedAt = time.Time{}
	r := world.NewReport(p, g)
	got := []int{r.ForeignVMsTouched, r.VMsLeft, r.RunnersAtOnceMax, r.JobsPerVMMax, r.RegistrationsLeft}
	if diff := cmp.Diff([]int{2, 1, 2, 2, 1}, got); diff != "" {
		t.Errorf("touched, left, at once, per VM, registrations (-want +got):\n%s", diff)
	}
}
