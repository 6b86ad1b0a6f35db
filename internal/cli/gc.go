package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/config"
	"mayfly/internal/fleet"
	"mayfly/internal/gc"
	"mayfly/internal/handoff"
)

func newGCCommand(a *app) *cobra.Command {
	var r gc.Request
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Clean up what nobody sees to any more",
		Long: `Gc looks once at both sides for what is left over: VMs without a purpose, registrations without a VM, user-data without a runner,
disks that a destroy left. What is provably this installation's, older than the grace and without a job goes; a table tells what,
why, and what was done. It may be run beside a dispatcher, which does most of that itself. Registrations that take a pool's jobs,
and VMs of its VMIDs, that aren't the installation's are shown and never touched.

Whose a VM is, is decided on its config as it is just before; then GitHub is asked to let go of its registration, which it refuses
while there is a job. What GitHub shows as offline is looked at twice, a minute and a half apart.

Exit codes: 0 nothing is left, 1 something that should go didn't or couldn't be looked at, 2 the configuration is wrong, 3 something
is left that only an administrator can remove, or, with --dry-run, something would be removed.`,
		Example: `  mayfly gc --dry-run --env-file dispatcher/dispatcher.env
  mayfly gc --grace 6h --json | jq -r '.findings[] | select(.outcome == "left") | .detail'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.Grace < gc.MinGrace {
				return usageError{fmt.Errorf("--grace %s: want %s or more, since a runner that is being made looks like one that nobody wants", r.Grace, gc.MinGrace)}
			}
			c, err := a.loadConfig(warnsOfTLS)
			if err != nil {
				return err
			}
			both, err := newClients(c, a.logger)
			if err != nil {
				return err
			}
			defer both.close()
			files, err := gcFiles(c, both, a)
			if err != nil {
				return err
			}
			collector := gc.New(gc.Options{
				Spec: fleetSpec(c), Proxmox: both.pve, GitHub: both.gh, Guests: handoff.NewAgent(both.pve, handoff.AgentOptions{}),
				Files: files, Logger: a.logger,
			})
			began := time.Now()
			findings, err := collector.Run(cmd.Context(), r)
			if asJSON {
				writeGCJSON(a.stdout, findings, r.DryRun, err)
			} else {
				writeGCTable(a.stdout, findings, began)
			}
			if err != nil {
				return err
			}
			return gcVerdict(findings)
		},
	}
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "only tell what would go")
	cmd.Flags().BoolVar(&asJSON, "json", false, "tell it as JSON")
	cmd.Flags().DurationVar(&r.Grace, "grace", gc.DefaultGrace, "how old a thing must be, `DURATION`, 30m or more")
	return cmd
}

// gcFiles are the hand-offs whose user-data can be looked through from here.
func gcFiles(c *config.Config, both clients, a *app) ([]gc.Files, error) {
	seeders, err := newSeeders(c, both.pve, a.logger)
	if err != nil {
		return nil, err
	}
	var files []gc.Files
	for _, way := range []fleet.Way{fleet.WayISO, fleet.WaySnippet} {
		if f, ok := seeders[way].(gc.Files); ok {
			files = append(files, f)
		}
	}
	return files, nil
}

// gcVerdict turns what was found into an exit code.
func gcVerdict(findings []gc.Finding) error {
	code := ExitOK
	for _, f := range findings {
		switch f.Outcome {
		case gc.Failed:
			return saidError{ExitFailure}
		case gc.Left, gc.WouldRemove:
			code = ExitWarning
		case gc.Removed, gc.Kept, gc.Shown:
		}
	}
	if code != ExitOK {
		return saidError{code}
	}
	return nil
}

func writeGCJSON(w io.Writer, findings []gc.Finding, dryRun bool, err error) {
	out := struct {
		DryRun   bool         `json:"dry_run"`
		Error    string       `json:"error,omitempty"`
		Findings []gc.Finding `json:"findings"`
	}{DryRun: dryRun, Findings: findings}
	if out.Findings == nil {
		out.Findings = []gc.Finding{}
	}
	if err != nil {
		out.Error = err.Error()
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(out) // the reader has gone: nobody to tell
}

// writeGCTable writes a line for each thing.
func writeGCTable(w io.Writer, findings []gc.Finding, now time.Time) {
	if len(findings) == 0 {
		fmt.Fprintln(w, "nothing to clean up")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tNAME\tWHERE\tAGE\tOUTCOME\tWHY")
	for _, f := range findings {
		where, age := cmp.Or(f.Target, f.Node, "-"), "-"
		if f.VMID > 0 {
			where = fmt.Sprintf("VM %d on %s", f.VMID, f.Node)
		}
		if !f.Since.IsZero() {
			age = now.Sub(f.Since).Round(time.Minute).String()
		}
		why := f.Why
		if f.Detail != "" {
			why += "; " + f.Detail
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Kind, cmp.Or(f.Name, "-"), where, strings.TrimSuffix(age, "0s"), strings.ReplaceAll(string(f.Outcome), "_", " "), why)
	}
	_ = t.Flush() // the reader has gone: nobody to tell
}
