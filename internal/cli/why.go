package cli

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/fleet"
	"mayfly/internal/runner"
)

func newWhyCommand(a *app) *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "why JOB",
		Short: "Say why a job waits, or what its runner does",
		Long: `Why asks the running dispatcher about one job: which pool it is for, why it waits or what its runner does, and what to do next.
JOB is the job's id or its address on GitHub; the address of a run stands for all of its jobs.`,
		Example: `  mayfly why 41234567890
  mayfly why https://github.com/NREL/EnergyPlus/actions/runs/9876543210/job/41234567890
  mayfly why https://github.com/NREL/EnergyPlus/actions/runs/9876543210`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("want one job: its id or its address on GitHub, for example mayfly why 41234567890")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := parseJob(args[0])
			if err != nil {
				return usageError{err}
			}
			s, _, err := a.askStatus(cmd.Context(), address)
			if err != nil {
				return err
			}
			return explainJob(a.stdout, s, wanted, time.Now())
		},
	}
	addressFlag(cmd, &address)
	return cmd
}

// jobWanted is a job by its id, or a run whose jobs are wanted.
type jobWanted struct{ job, run int64 }

func (w jobWanted) String() string {
	if w.job != 0 {
		return fmt.Sprintf("job %d", w.job)
	}
	return fmt.Sprintf("run %d", w.run)
}

func (w jobWanted) is(job, run int64) bool {
	return w.job != 0 && w.job == job || w.job == 0 && w.run == run
}

// parseJob reads a job's id, or the address of a job or run:
// https://github.com/OWNER/REPO/actions/runs/RUN[/attempts/N][/job/JOB].
func parseJob(text string) (jobWanted, error) {
	bad := fmt.Errorf("JOB %q: want a job's id, or its address, https://github.com/OWNER/REPO/actions/runs/RUN/job/JOB", text)
	if id, err := strconv.ParseInt(text, 10, 64); err == nil && id > 0 {
		return jobWanted{job: id}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return jobWanted{}, bad
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	after := func(word string) int64 {
		if i := slices.Index(parts, word); i >= 2 && i+1 < len(parts) {
			if id, err := strconv.ParseInt(parts[i+1], 10, 64); err == nil && id > 0 {
				return id
			}
		}
		return 0
	}
	w := jobWanted{job: after("job"), run: after("runs")}
	if w.job == 0 && w.run == 0 || slices.Contains(parts, "job") && w.job == 0 {
		return jobWanted{}, bad
	}
	return w, nil
}

// explainJob says what becomes of the job, or of each open job of the run.
func explainJob(w io.Writer, s fleet.Status, wanted jobWanted, now time.Time) error {
	found := false
	for _, j := range s.Waiting {
		if wanted.is(j.Job, j.Run) {
			explainWaiting(w, s, j, now)
			found = true
		}
	}
	for _, r := range s.Runners {
		if r.Job != 0 && wanted.is(r.Job, r.Run) {
			explainRunning(w, r, now)
			found = true
		}
	}
	if found {
		return nil
	}
	if !s.GitHub.OK {
		return fmt.Errorf("%s isn't known to the dispatcher, which can't read GitHub: %s", wanted, s.GitHub.Error)
	}
	unread := ""
	if s.GitHub.Error != "" {
		unread = "is of a repository that can't be read (" + s.GitHub.Error + "), "
	}
	targets := []string{}
	for _, p := range s.Pools {
		if !slices.Contains(targets, p.Target) {
			targets = append(targets, p.Target)
		}
	}
	return fmt.Errorf("%s isn't known to the dispatcher: it has ended, was created after its last look at GitHub (%s ago), %sruns on another runner, or belongs to none of %s; look at it on GitHub",
		wanted, span(now.Sub(s.GitHub.LastOK)), unread, strings.Join(targets, ", "))
}

func explainWaiting(w io.Writer, s fleet.Status, j fleet.WaitingStatus, now time.Time) {
	fmt.Fprintf(w, "job %d %s of %s has waited for %s\n", j.Job, strconv.Quote(j.Name), j.Target, span(now.Sub(j.Since)))
	fmt.Fprintf(w, "  labels  %s\n", printable(cmp.Or(strings.Join(j.Labels, ", "), "none")))
	pool := "none"
	for _, p := range s.Pools {
		if p.Name == j.Pool {
			pool = fmt.Sprintf("%s: %d of at most %d runners (%d idle, %d busy), %s", p.Name, p.Runners, p.Max, p.Idle, p.Busy, count(p.Waiting, "waiting job"))
		}
	}
	fmt.Fprintf(w, "  pool    %s\n  why     %s: %s\n  next    %s\n", pool, j.Reason.Code, printable(j.Reason.Text), nextFor(j.Reason.Code))
}

func explainRunning(w io.Writer, r fleet.RunnerStatus, now time.Time) {
	fmt.Fprintf(w, "job %d is on runner %s (VM %d on %s), which is %s\n", r.Job, r.Name, r.VMID, r.Node, r.State)
	fmt.Fprintf(w, "  pool    %s\n  age     %s\n", cmp.Or(r.Pool, "-"), span(now.Sub(r.Created)))
	if r.Reason != "" {
		fmt.Fprintf(w, "  remark  %s\n", printable(r.Reason))
	}
	next := "nothing: what it does is in its log on GitHub"
	switch r.State {
	case runner.Draining, runner.Destroying:
		next = "nothing: the job is over, and the VM goes"
	case runner.Failed:
		next = "look at the dispatcher's log for runner=" + r.Name + "; run the job again when the cause is mended"
	}
	fmt.Fprintf(w, "  next    %s\n", next)
}

// nextSteps says what to do about each reason why a job waits.
var nextSteps = map[fleet.Code]string{
	fleet.WaitAssign:           "nothing: GitHub assigns it within seconds",
	fleet.WaitRunner:           "nothing: mayfly status shows how far its runner is",
	fleet.WaitCheck:            "nothing: the next look at GitHub tells",
	fleet.WaitCloneLimit:       "nothing: it is next when a clone or removal ends",
	fleet.WaitNoPool:           "change runs-on in the workflow, or give a pool the labels that it wants",
	fleet.WaitPolicyRepository: "cancel it, or let its repository use the pool (docs/security.md)",
	fleet.WaitPolicyEvent:      "cancel it, or let the pool take that event (docs/security.md)",
	fleet.WaitPolicyFork:       "cancel it, or, having read what it would run, allow forks for the pool (docs/security.md)",
	fleet.WaitPoolMax:          "wait for a runner to end, or raise the pool's max",
	fleet.WaitTotalMax:         "wait for a runner to end, or raise max_runners (MAX_TOTAL_RUNNERS)",
	fleet.WaitShare:            "wait for a runner to end, raise max_runners, or change the shares of the pools",
	fleet.WaitVMIDs:            "wait until VMIDs have rested, or widen the range of VMIDs; mayfly status shows those that are set aside",
	fleet.WaitTemplate:         "do what the reason says; mayfly check looks at the template, too",
	fleet.WaitNoTemplate:       "mayfly image list, then mayfly image promote or build",
	fleet.WaitDeprecated:       "build the image anew: mayfly image build",
	fleet.WaitUnfit:            "build the image anew, or go back to an older version: mayfly image promote",
	fleet.WaitProxmox:          "mayfly check says what is wrong with Proxmox; it goes on by itself when that answers",
	fleet.WaitGitHub:           "mayfly check says what is wrong with GitHub; it goes on by itself when that answers",
	fleet.WaitGitHubLimit:      "nothing: it goes on when GitHub's limit ends; a longer poll_interval uses less of it",
	fleet.WaitBackoff:          "look at why the last runner failed; the next attempt comes by itself",
	fleet.WaitCordoned:         "mend what the reason names (docs/operations.md, What fails again and again); one runner tries it again by itself",
	fleet.WaitStandby:          "ask the other dispatcher, or end one of the two (docs/operations.md, Two dispatchers by mistake)",
	fleet.WaitStopping:         "nothing: the next start of the dispatcher serves it",
}

func nextFor(c fleet.Code) string {
	return cmp.Or(nextSteps[c], "see "+string(c)+" in docs/troubleshooting.md, A job waits")
}
