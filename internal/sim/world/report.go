package world

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// Report is what the stand-ins recorded; what a dispatcher says of itself isn't asked. A VM is the dispatcher's when it
// was cloned and is no decoy; every other VM is foreign. A runner belongs to the VM that has its name.
type Report struct {
	// JobsDone counts the jobs that succeeded, JobsFailed those that ended otherwise.
	JobsDone   int `json:"jobs_done"`
	JobsFailed int `json:"jobs_failed"`
	// VMsMade counts the dispatcher's VMs, VMsLeft those of them that weren't destroyed.
	VMsMade int `json:"vms_made"`
	VMsLeft int `json:"vms_left"`
	// RegistrationsLeft counts the registrations that weren't removed.
	RegistrationsLeft int `json:"registrations_left"`
	// ForeignVMsTouched counts foreign VMs whose digest changed, or that a request other than GET and clone named,
	// whatever its answer was.
	ForeignVMsTouched int `json:"foreign_vms_touched"`
	// JobsPerVMMax is the most jobs that the registrations of one name started.
	JobsPerVMMax int `json:"jobs_per_vm_max"`
	// RunnersAtOnceMax is the most of the dispatcher's VMs that existed at one time, from creation to destruction.
	RunnersAtOnceMax int `json:"runners_at_once_max"`
	// QueueToStart is from a job's creation to its start, of the jobs that started.
	QueueToStart Spread `json:"queue_to_start_ms"`
	// Stages are the steps of the VMs that have both ends of the step on record.
	Stages Stages `json:"stages_ms"`
}

// Stages are the steps in a VM's life. Requests are kept without bodies, so the delivery of the identity can't be told
// from a probe: that the runner came online stands for it. The boot's end is seen as the agent's first answer only.
type Stages struct {
	Clone     Spread `json:"clone"`         // clone asked for, to first power-on
	Agent     Spread `json:"agent_ready"`   // power-on, to the end of the first command that it took
	Online    Spread `json:"runner_online"` // that, to the registration's first session
	Started   Spread `json:"job_started"`   // that session, to the job's start
	PowerOff  Spread `json:"powered_off"`   // the job's end, to the last power-off
	Destroyed Spread `json:"destroyed"`     // the last power-off, to the end of the VM
}

// Spread is the nearest-rank percentiles of times, in milliseconds rounded up; all 0 without any.
type Spread struct {
	P50 int64 `json:"p50"`
	P95 int64 `json:"p95"`
	Max int64 `json:"max"`
}

// NewReport counts what the two stand-ins recorded.
func NewReport(p pve.State, g gh.State) Report {
	var r Report
	var waits []time.Duration
	byName := map[string]gh.JobState{}
	for _, j := range g.Jobs {
		switch j.Conclusion {
		case "":
		case "success":
			r.JobsDone++
		default:
			r.JobsFailed++
		}
		if !j.StartedAt.IsZero() {
			waits = append(waits, j.StartedAt.Sub(j.CreatedAt))
			byName[j.RunnerName] = j
		}
	}
	r.QueueToStart = spread(waits)
	started, online := map[string]int{}, map[string]time.Time{}
	for _, x := range g.Runners {
		if x.RemovedAt.IsZero() {
			r.RegistrationsLeft++
		}
		started[x.Name] += len(x.Jobs)
		r.JobsPerVMMax = max(r.JobsPerVMMax, started[x.Name])
		online[x.Name] = x.FirstSeen
	}
	r.countVMs(p)
	r.Stages = stages(p, byName, online)
	return r
}

func ours(v *pve.VMState) bool { return v.Decoy == "" && v.Source != 0 }

func (r *Report) countVMs(p pve.State) {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for i := range p.VMs {
		v := &p.VMs[i]
		if !ours(v) {
			if v.DigestStart != v.DigestNow || asked(p.Requests, v.VMID) {
				r.ForeignVMsTouched++
			}
			continue
		}
		r.VMsMade++
		changes = append(changes, change{v.CreatedAt, 1})
		if v.DestroyedAt == nil {
			r.VMsLeft++
		} else {
			changes = append(changes, change{*v.DestroyedAt, -1})
		}
	}
	// At the same instant an end comes first.
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), a.by-b.by) })
	now := 0
	for _, c := range changes {
		now += c.by
		r.RunnersAtOnceMax = max(r.RunnersAtOnceMax, now)
	}
}

// asked reports whether a request tried to change the VM.
func asked(requests []pve.RequestState, vmid int) bool {
	return slices.ContainsFunc(requests, func(q pve.RequestState) bool {
		return q.VMID == vmid && q.Method != http.MethodGet && !strings.HasSuffix(q.Path, "/clone")
	})
}

func stages(p pve.State, jobs map[string]gh.JobState, online map[string]time.Time) Stages {
	var steps [6][]time.Duration
	for i := range p.VMs {
		v := &p.VMs[i]
		if !ours(v) {
			continue
		}
		var on, off, gone time.Time
		if len(v.StartedAt) > 0 {
			on = v.StartedAt[0]
		}
		if n := len(v.StoppedAt); n > 0 {
			off = v.StoppedAt[n-1]
		}
		if v.DestroyedAt != nil {
			gone = *v.DestroyedAt
		}
		asked, answered := marks(p.Requests, v, on)
		j, seen := jobs[v.Name], online[v.Name]
		for k, ends := range [6][2]time.Time{{asked, on}, {on, answered}, {answered, seen}, {seen, j.StartedAt}, {j.CompletedAt, off}, {off, gone}} {
			if !ends[0].IsZero() && !ends[1].Before(ends[0]) {
				steps[k] = append(steps[k], ends[1].Sub(ends[0]))
			}
		}
	}
	return Stages{spread(steps[0]), spread(steps[1]), spread(steps[2]), spread(steps[3]), spread(steps[4]), spread(steps[5])}
}

// marks finds when the VM was asked for and when its agent first answered. A VMID may have had other VMs before and
// after.
func marks(requests []pve.RequestState, v *pve.VMState, on time.Time) (clone, answer time.Time) {
	for _, q := range requests {
		switch {
		case q.Status/100 != 2:
		case q.NewID == v.VMID && !q.At.After(v.CreatedAt):
			clone = q.At
		case q.VMID == v.VMID && strings.HasSuffix(q.Path, "/agent/exec") && answer.IsZero() && !on.IsZero() && !q.At.Before(on) &&
			(v.DestroyedAt == nil || q.At.Before(*v.DestroyedAt)):
			answer = q.At.Add(q.Took)
		}
	}
	return clone, answer
}

func spread(times []time.Duration) Spread {
	slices.Sort(times)
	at := func(p float64) int64 {
		if len(times) == 0 {
			return 0
		}
		d := times[max(int(math.Ceil(p*float64(len(times)))), 1)-1]
		return int64(math.Ceil(float64(d) / float64(time.Millisecond)))
	}
	return Spread{P50: at(0.5), P95: at(0.95), Max: at(1)}
}
