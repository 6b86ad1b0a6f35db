package cli

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

// demoFigures are what the stand-ins saw. The controller's own view is not asked.
type demoFigures struct {
	// JobsDone counts the jobs that succeeded, JobsFailed those that ended otherwise, JobsLeft those that didn't end.
	JobsDone   int `json:"jobs_done"`
	JobsFailed int `json:"jobs_failed"`
	JobsLeft   int `json:"jobs_left"`
	// JobsStartedTwice counts jobs that more than one runner started.
	JobsStartedTwice int `json:"jobs_started_twice"`
	// VMsMade counts clones, VMsLeft those that weren't destroyed; VMsAtOnce is the most that there were at a time.
	VMsMade   int `json:"vms_made"`
	VMsLeft   int `json:"vms_left"`
	VMsAtOnce int `json:"vms_at_once_max"`
	// JobsPerVM is the most jobs that one VM started.
	JobsPerVM int `json:"jobs_per_vm_max"`
	// RegistrationsMade and RegistrationsLeft are of GitHub's runners.
	RegistrationsMade int `json:"registrations_made"`
	RegistrationsLeft int `json:"registrations_left"`
	// ForeignVMs are templates and VMs of others; Touched counts those that are no longer as they were, or that a
	// request tried to change.
	ForeignVMs        int `json:"foreign_vms"`
	ForeignVMsTouched int `json:"foreign_vms_touched"`
	// QueueToStart is the time from "queued" to "started" of the jobs that started.
	QueueToStart demoSpread `json:"queue_to_start_ms"`
	// RequestsToProxmox and RequestsToGitHub count the dispatcher's requests.
	RequestsToProxmox int `json:"requests_proxmox"`
	RequestsToGitHub  int `json:"requests_github"`
}

// demoSpread is how times are spread, in milliseconds.
type demoSpread struct {
	P50 int64 `json:"p50"`
	P95 int64 `json:"p95"`
	Max int64 `json:"max"`
}

// countDemo makes the figures of a cluster and a GitHub that only one dispatcher used.
func countDemo(p pve.State, g gh.State) demoFigures {
	var f demoFigures
	f.countJobs(g.Jobs)
	f.countVMs(p)
	f.JobsPerVM = mostJobs(g.Jobs)
	for _, r := range g.Runners {
		f.RegistrationsMade++
		if r.RemovedAt.IsZero() {
			f.RegistrationsLeft++
		}
	}
	f.RequestsToProxmox = len(p.Requests)
	for _, r := range g.Requests {
		if r.Login != "" { // runners have none
			f.RequestsToGitHub++
		}
	}
	return f
}

func (f *demoFigures) countJobs(jobs []gh.JobState) {
	var waits []time.Duration
	for _, j := range jobs {
		switch j.Conclusion {
		case "":
			f.JobsLeft++
		case "success":
			f.JobsDone++
		default:
			f.JobsFailed++
		}
		if j.Starts > 1 {
			f.JobsStartedTwice++
		}
		if !j.StartedAt.IsZero() {
			waits = append(waits, j.StartedAt.Sub(j.CreatedAt))
		}
	}
	slices.Sort(waits)
	f.QueueToStart = demoSpread{P50: percentile(waits, 0.5), P95: percentile(waits, 0.95), Max: percentile(waits, 1)}
}

// percentile is the nearest-rank one of sorted times, in milliseconds rounded up: a wait of nothing there is not.
func percentile(sorted []time.Duration, p float64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	d := sorted[max(int(math.Ceil(p*float64(len(sorted)))), 1)-1]
	return int64(math.Ceil(float64(d) / float64(time.Millisecond)))
}

// foreign reports whether a VM was there before the dispatcher.
func foreign(v *pve.VMState) bool { return v.Decoy != "" || v.Source == 0 }

func (f *demoFigures) countVMs(s pve.State) {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	touched := map[int]bool{}
	others := map[int]bool{}
	for i := range s.VMs {
		v := &s.VMs[i]
		if foreign(v) {
			others[v.VMID] = true
			touched[v.VMID] = v.DigestNow != v.DigestStart
			continue
		}
		f.VMsMade++
		changes = append(changes, change{v.CreatedAt, 1})
		if v.DestroyedAt == nil {
			f.VMsLeft++
		} else {
			changes = append(changes, change{*v.DestroyedAt, -1})
		}
	}
	for _, r := range s.Requests {
		// Cloning from a template changes nothing of it.
		if r.Method != http.MethodGet && others[r.VMID] && !strings.HasSuffix(r.Path, "/clone") {
			touched[r.VMID] = true
		}
	}
	f.ForeignVMs = len(others)
	for _, t := range touched {
		if t {
			f.ForeignVMsTouched++
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), a.by-b.by) })
	alive := 0
	for _, c := range changes {
		alive += c.by
		f.VMsAtOnce = max(f.VMsAtOnce, alive)
	}
}

// mostJobs is the most jobs that started on one VM. A runner has the name of its VM, and no name is used twice.
func mostJobs(jobs []gh.JobState) int {
	ran := map[string]int{}
	for _, j := range jobs {
		if j.Starts > 0 {
			ran[j.RunnerName]++
		}
	}
	most := 0
	for _, n := range ran {
		most = max(most, n)
	}
	return most
}
