package cli

import (
	"errors"
	"fmt"
	"io"
)

// demoSummary is the last line of `mayfly demo --output json`.
type demoSummary struct {
	Kind string `json:"kind"` // "summary"
	demoFigures
}

func summarize(w *demoWorld) demoSummary {
	return demoSummary{Kind: "summary", demoFigures: countDemo(w.pve.State(), w.gh.State())}
}

// wrong lists the figures that are not as they must be. jobs is how many had to be done; 0 is any number.
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
	if s.JobsPerVM > 1 {
		errs = append(errs, fmt.Errorf("%d jobs on one VM, want one", s.JobsPerVM))
	}
	if s.VMsAtOnce > most {
		errs = append(errs, fmt.Errorf("%d VMs at once, want at most %d", s.VMsAtOnce, most))
	}
	if s.ForeignVMs == 0 {
		errs = append(errs, errors.New("no VM of others was there to be left alone"))
	}
	return errs
}

// print says it for people.
func (s demoSummary) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s done", count(s.JobsDone, "job"))
	if s.JobsFailed > 0 {
		fmt.Fprintf(w, ", %d failed", s.JobsFailed)
	}
	if s.JobsLeft > 0 {
		fmt.Fprintf(w, ", %d still queued", s.JobsLeft)
	}
	if s.JobsPerVM == 1 {
		fmt.Fprint(w, ", each in a VM of its own")
	} else if s.JobsPerVM > 1 {
		fmt.Fprintf(w, ", up to %d in one VM", s.JobsPerVM)
	}
	fmt.Fprintf(w, "; never more than %s at once\n", count(s.VMsAtOnce, "VM"))
	fmt.Fprintf(w, "left behind: %s of %d, %s of %d\n", count(s.VMsLeft, "VM"), s.VMsMade, count(s.RegistrationsLeft, "registration"), s.RegistrationsMade)
	fmt.Fprintf(w, "VMs of others touched: %d of %d, though they look like ours\n", s.ForeignVMsTouched, s.ForeignVMs)
	if s.QueueToStart.Max > 0 {
		fmt.Fprintf(w, "from queued to started: half within %s, 95 %% within %s, all within %s\n",
			milliseconds(s.QueueToStart.P50), milliseconds(s.QueueToStart.P95), milliseconds(s.QueueToStart.Max))
	}
	fmt.Fprintf(w, "requests: %d to Proxmox, %d to GitHub\n", s.RequestsToProxmox, s.RequestsToGitHub)
}

func milliseconds(n int64) string { return fmt.Sprintf("%.1f s", float64(n)/1000) }
