package cli

import (
	"errors"
	"fmt"
	"io"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

// demoSummary is the last line of `mayfly demo --output json`: what the stand-ins saw. The controller's own view is
// not asked.
type demoSummary struct {
	Kind string `json:"kind"` // "summary"
	world.Report
	// JobsLeft counts the jobs that didn't end, JobsStartedTwice those that more than one runner started.
	JobsLeft         int `json:"jobs_left"`
	JobsStartedTwice int `json:"jobs_started_twice"`
	// ForeignVMs counts the templates and the VMs of others that were there to be left alone.
	ForeignVMs int `json:"foreign_vms"`
	// RequestsToProxmox and RequestsToGitHub count the dispatcher's requests.
	RequestsToProxmox int `json:"requests_proxmox"`
	RequestsToGitHub  int `json:"requests_github"`
}

// summarize makes the figures of a cluster and a GitHub that only one dispatcher used.
func summarize(p pve.State, g gh.State) demoSummary {
	s := demoSummary{Kind: "summary", Report: world.NewReport(p, g), RequestsToProxmox: len(p.Requests)}
	for _, j := range g.Jobs {
		if j.Conclusion == "" {
			s.JobsLeft++
		}
		if j.Starts > 1 {
			s.JobsStartedTwice++
		}
	}
	for _, v := range p.VMs {
		if v.Decoy != "" || v.Source == 0 {
			s.ForeignVMs++
		}
	}
	for _, r := range g.Requests {
		if r.Login != "" { // runners have none
			s.RequestsToGitHub++
		}
	}
	return s
}

// wrong lists the figures that are not as they must be. jobs is how many had to be done, 0 for any number; most is how
// many VMs there may be at once.
func (s demoSummary) wrong(jobs, most int) []error {
	var errs []error
	no := func(n int, text string) {
		if n != 0 {
			errs = append(errs, fmt.Errorf("%d %s, want none", n, text))
		}
	}
	if jobs > 0 && s.JobsDone != jobs {
		errs = append(errs, fmt.Errorf("%d jobs done, want %d", s.JobsDone, jobs))
	}
	no(s.JobsFailed, "jobs failed")
	no(s.JobsStartedTwice, "jobs started twice")
	no(s.VMsLeft, "VMs left")
	no(s.RegistrationsLeft, "registrations left")
	no(s.ForeignVMsTouched, "VMs of others touched")
	if s.JobsPerVMMax > 1 {
		errs = append(errs, fmt.Errorf("%d jobs on one VM, want one", s.JobsPerVMMax))
	}
	if s.RunnersAtOnceMax > most {
		errs = append(errs, fmt.Errorf("%d VMs at once, want at most %d", s.RunnersAtOnceMax, most))
	}
	if s.ForeignVMs == 0 {
		errs = append(errs, errors.New("no VM of others was there to be left alone"))
	}
	return errs
}

// print says it for people, in lines that fit a narrow terminal.
func (s demoSummary) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s done", count(s.JobsDone, "job"))
	if s.JobsFailed > 0 {
		fmt.Fprintf(w, ", %d failed", s.JobsFailed)
	}
	if s.JobsLeft > 0 {
		fmt.Fprintf(w, ", %d still queued", s.JobsLeft)
	}
	if s.JobsPerVMMax == 1 {
		fmt.Fprint(w, ", each in a VM of its own")
	} else if s.JobsPerVMMax > 1 {
		fmt.Fprintf(w, ", up to %d in one VM", s.JobsPerVMMax)
	}
	fmt.Fprintf(w, "; at most %s at once\n", count(s.RunnersAtOnceMax, "VM"))
	fmt.Fprintf(w, "left behind: %s of %d, %s\n", count(s.VMsLeft, "VM"), s.VMsMade, count(s.RegistrationsLeft, "registration"))
	fmt.Fprintf(w, "VMs of others touched: %d of %d, though they look like ours\n", s.ForeignVMsTouched, s.ForeignVMs)
	for _, row := range []struct {
		name string
		is   world.Spread
	}{
		{"queued to started", s.QueueToStart},
		{"  clone", s.Stages.Clone},
		{"  boot", s.Stages.Agent},
		{"  runner online", s.Stages.Online},
		{"  job started", s.Stages.Started},
		{"ended to powered off", s.Stages.PowerOff},
		{"off to destroyed", s.Stages.Destroyed},
	} {
		fmt.Fprintf(w, "%-22s  half %6s  95 %% %6s  all %6s\n", row.name, milliseconds(row.is.P50), milliseconds(row.is.P95), milliseconds(row.is.Max))
	}
	fmt.Fprintf(w, "requests: %d to Proxmox, %d to GitHub\n", s.RequestsToProxmox, s.RequestsToGitHub)
}

func milliseconds(n int64) string { return fmt.Sprintf("%.2fs", float64(n)/1000) }
