//go:build crash

package crash

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// ours are the VMs that the dispatcher made, dead ones too. What was there from the start has a digest.
func (m moment) ours() []pve.VMState {
	return slices.DeleteFunc(slices.Clone(m.pve.VMs), func(v pve.VMState) bool { return v.DigestStart != "" })
}

// registered are the registrations that there are now.
func (m moment) registered() []gh.RunnerState {
	return slices.DeleteFunc(slices.Clone(m.gh.Runners), func(r gh.RunnerState) bool { return !r.RemovedAt.IsZero() })
}

// tasks are the tasks of one type.
func (m moment) tasks(kind string) []pve.TaskState {
	return slices.DeleteFunc(slices.Clone(m.pve.Tasks), func(t pve.TaskState) bool { return t.Type != kind })
}

// left says what is not over yet: jobs, VMs, registrations, tasks.
func (m moment) left() []string {
	var left []string
	for _, j := range m.gh.Jobs {
		if j.Status != "completed" {
			left = append(left, fmt.Sprintf("job %d is %s (runner %q, assigned %d times)", j.ID, j.Status, j.RunnerName, j.Assigned))
		}
	}
	for _, v := range m.ours() {
		if v.DestroyedAt == nil {
			left = append(left, fmt.Sprintf("VM %d %q is %s (lock %q, pool %q)", v.VMID, v.Name, v.Status, v.Config["lock"], v.Pool))
		}
	}
	for _, r := range m.registered() {
		left = append(left, fmt.Sprintf("registration %d %q is there (online %v, busy %v)", r.ID, r.Name, r.Online, r.Busy))
	}
	for _, t := range m.pve.Tasks {
		if t.EndedAt == nil {
			left = append(left, "task "+t.UPID+" runs")
		}
	}
	return left
}

// wrong says what must never be, whatever was killed when. Jobs that the test itself cancelled must not have run. most
// is how many VMs there may be at once.
func (m moment) wrong(cancelled []int64, most int) []string {
	return slices.Concat(m.wrongJobs(cancelled), m.wrongVMs(most), m.wrongForeign())
}

func (m moment) wrongJobs(cancelled []int64) []string {
	var wrong []string
	byRunner := map[string]int64{}
	for _, j := range m.gh.Jobs {
		if slices.Contains(cancelled, j.ID) {
			if j.Starts != 0 || j.Conclusion != "cancelled" {
				wrong = append(wrong, fmt.Sprintf("job %d was cancelled, and ended as %q after %d starts", j.ID, j.Conclusion, j.Starts))
			}
			continue
		}
		if j.Conclusion != "success" || j.Starts != 1 {
			wrong = append(wrong, fmt.Sprintf("job %d ended as %q (%s) after %d starts", j.ID, j.Conclusion, j.Reason, j.Starts))
		}
		if other, taken := byRunner[j.RunnerName]; taken {
			wrong = append(wrong, fmt.Sprintf("jobs %d and %d ran on the same runner %q", other, j.ID, j.RunnerName))
		}
		byRunner[j.RunnerName] = j.ID
		vms := slices.DeleteFunc(m.ours(), func(v pve.VMState) bool { return v.Name != j.RunnerName })
		switch {
		case len(vms) != 1:
			wrong = append(wrong, fmt.Sprintf("job %d ran on %q, and %d VMs had that name", j.ID, j.RunnerName, len(vms)))
		case len(vms[0].StartedAt) != 1:
			wrong = append(wrong, fmt.Sprintf("VM %d %q of job %d was started %d times", vms[0].VMID, vms[0].Name, j.ID, len(vms[0].StartedAt)))
		case vms[0].Config["reboot"] != "0": // what every runner gets before its start, and the template hasn't
			wrong = append(wrong, fmt.Sprintf("VM %d %q of job %d was never configured", vms[0].VMID, vms[0].Name, j.ID))
		}
	}
	if len(m.gh.Jobs) == 0 {
		wrong = append(wrong, "there were no jobs")
	}
	return wrong
}

func (m moment) wrongVMs(most int) []string {
	var wrong []string
	names := map[string]bool{}
	for _, v := range m.ours() {
		if names[v.Name] && v.Name != "" {
			wrong = append(wrong, fmt.Sprintf("the name %q was given to two VMs", v.Name))
		}
		names[v.Name] = true
	}
	for _, r := range m.gh.Runners {
		if !names[r.Name] {
			wrong = append(wrong, fmt.Sprintf("registration %d %q belongs to no VM that ever was", r.ID, r.Name))
		}
	}
	if n := m.atOnce(); n > most {
		wrong = append(wrong, fmt.Sprintf("%d VMs at once, allowed are %d", n, most))
	}
	return wrong
}

// atOnce is the largest number of our VMs that existed at one time.
func (m moment) atOnce() int {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for _, v := range m.ours() {
		changes = append(changes, change{v.CreatedAt, 1})
		if v.DestroyedAt != nil {
			changes = append(changes, change{*v.DestroyedAt, -1})
		}
	}
	// Of changes at the same instant, the end of a VM counts first.
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by)) })
	now, most := 0, 0
	for _, c := range changes {
		now += c.by
		most = max(most, now)
	}
	return most
}

// decoys is how many foreign VMs the stand-in has at least: twice six kinds.
const decoys = 12

// wrongForeign looks at what isn't ours: it must be as it was, and none of it may even have been tried to change.
func (m moment) wrongForeign() []string {
	var wrong []string
	foreign := map[int]bool{}
	kinds := 0
	for _, v := range m.pve.VMs {
		if v.DigestStart == "" {
			continue
		}
		if v.Decoy != "" {
			kinds++
			foreign[v.VMID] = true
		}
		if v.DigestStart != v.DigestNow {
			wrong = append(wrong, fmt.Sprintf("VM %d %q (%s) is not as it was", v.VMID, v.Name, cmp.Or(v.Decoy, "template")))
		}
	}
	if kinds < decoys {
		wrong = append(wrong, fmt.Sprintf("%d decoys, want at least %d", kinds, decoys))
	}
	for _, r := range m.pve.Requests {
		if foreign[r.VMID] && r.Method != http.MethodGet {
			wrong = append(wrong, fmt.Sprintf("%s %s: not for a foreign VM", r.Method, r.Path))
		}
	}
	return wrong
}

func lines(of []string) string { return strings.Join(of, "\n") }
