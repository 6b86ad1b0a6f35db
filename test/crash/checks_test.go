//go:build crash

package crash

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// finished is a moment after two jobs went well and one was cancelled.
func finished() moment {
	at := func(s int) time.Time { return time.Unix(1_800_000_000+int64(s), 0) }
	ended := func(s int) *time.Time { t := at(s); return &t }
	shaped := map[string]string{"reboot": "0"}
	m := moment{
		pve: pve.State{
			VMs: []pve.VMState{
				{VMID: 9000, Name: "template", Template: true, DigestStart: "t", DigestNow: "t"},
				{VMID: 201, Name: "r-1", StartedAt: []time.Time{at(1)}, CreatedAt: at(0), DestroyedAt: ended(10), Config: shaped},
				{VMID: 202, Name: "r-2", StartedAt: []time.Time{at(11)}, CreatedAt: at(10), DestroyedAt: ended(20), Config: shaped},
			},
			Tasks: []pve.TaskState{{UPID: "UPID:1", Type: "qmclone", EndedAt: ended(1)}},
			Requests: []pve.RequestState{
				{Method: http.MethodGet, Path: "/api2/json/nodes/pve1/qemu/300/config", VMID: 300},
				{Method: http.MethodDelete, Path: "/api2/json/nodes/pve1/qemu/201", VMID: 201},
			},
		},
		gh: gh.State{
			Jobs: []gh.JobState{
				{ID: 1, Status: "completed", Conclusion: "success", Starts: 1, RunnerName: "r-1"},
				{ID: 2, Status: "completed", Conclusion: "success", Starts: 1, RunnerName: "r-2"},
				{ID: 3, Status: "completed", Conclusion: "cancelled"},
			},
			Runners: []gh.RunnerState{{ID: 101, Name: "r-1", RemovedAt: at(9)}, {ID: 102, Name: "r-2", RemovedAt: at(19)}},
		},
	}
	for i := range decoys {
		m.pve.VMs = append(m.pve.VMs, pve.VMState{VMID: 300 + i, Decoy: "tags", DigestStart: "d", DigestNow: "d"})
	}
	return m
}

func TestNothingIsWrongWhenAllWentWell(t *testing.T) {
	m := finished()
	if wrong := m.wrong([]int64{3}, one); len(wrong) > 0 {
		t.Errorf("%q", wrong)
	}
	if left := m.left(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestEveryWrongIsSeen(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*moment)
		words string
	}{
		{"a job fails", func(m *moment) { m.gh.Jobs[0].Conclusion = "failure" }, `job 1 ended as "failure"`},
		{"a job is started twice", func(m *moment) { m.gh.Jobs[1].Starts = 2 }, "after 2 starts"},
		{"a cancelled job ran", func(m *moment) { m.gh.Jobs[2].Starts = 1 }, "job 3 was cancelled"},
		{"two jobs in one VM", func(m *moment) { m.gh.Jobs[1].RunnerName = "r-1" }, `same runner "r-1"`},
		{"a job's runner was no VM", func(m *moment) { m.gh.Jobs[0].RunnerName = "r-9" }, "0 VMs had that name"},
		{"a runner's name was two VMs'", func(m *moment) { m.pve.VMs[2].Name = "r-1" }, "given to two VMs"},
		{"a VM was started twice", func(m *moment) {
			m.pve.VMs[1].StartedAt = append(m.pve.VMs[1].StartedAt, m.pve.VMs[1].CreatedAt)
		}, "was started 2 times"},
		{"a VM ran as it was cloned", func(m *moment) { m.pve.VMs[1].Config = nil }, "was never configured"},
		{"a registration without a VM", func(m *moment) { m.gh.Runners[1].Name = "r-8" }, "belongs to no VM"},
		{"two VMs at once", func(m *moment) { m.pve.VMs[2].CreatedAt = m.pve.VMs[1].DestroyedAt.Add(-1) }, "2 VMs at once"},
		{"a decoy changed", func(m *moment) { m.pve.VMs[3].DigestNow = "gone" }, "VM 300"},
		{"the template changed", func(m *moment) { m.pve.VMs[0].DigestNow = "other" }, "(template) is not as it was"},
		{"a decoy was tried to be changed", func(m *moment) { m.pve.Requests[0].Method = http.MethodPost }, "not for a foreign VM"},
		{"there were no decoys", func(m *moment) { m.pve.VMs = m.pve.VMs[:3] }, "0 decoys"},
		{"there were no jobs", func(m *moment) { m.gh.Jobs = nil }, "no jobs"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := finished()
			tc.spoil(&m)
			if wrong := lines(m.wrong([]int64{3}, one)); !strings.Contains(wrong, tc.words) {
				t.Errorf("seen: %q, want %q", wrong, tc.words)
			}
		})
	}
}

func TestWhateverIsLeftIsSeen(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*moment)
		words string
	}{
		{"a job", func(m *moment) { m.gh.Jobs[1].Status = "in_progress" }, "job 2 is in_progress"},
		{"a VM", func(m *moment) { m.pve.VMs[1].DestroyedAt = nil }, `VM 201 "r-1"`},
		{"a registration", func(m *moment) { m.gh.Runners[0].RemovedAt = time.Time{} }, `registration 101 "r-1"`},
		{"a task", func(m *moment) { m.pve.Tasks[0].EndedAt = nil }, "task UPID:1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := finished()
			tc.spoil(&m)
			if left := m.left(); len(left) != 1 || !strings.Contains(left[0], tc.words) {
				t.Errorf("seen: %q, want %q", left, tc.words)
			}
		})
	}
}
