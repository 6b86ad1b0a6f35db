package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
)

func newCheckCommand(a *app) *cobra.Command {
	var asJSON bool
	var features []string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell what would keep jobs from running, and how to mend it",
		Long: `Check asks Proxmox VE and GitHub, with the configured tokens, for everything that can be seen beforehand: versions, certificate, clocks, the token's
privileges, templates, storages, VMIDs, labels. Each finding has its reason and the command or click that mends it. Nothing is changed.

The exit code is that of the worst finding: 0 all is well, 3 a warning, 1 an error. 2 is a mistake in the configuration.`,
		Example: `  mayfly check
  mayfly check --for build --config image.yaml
  mayfly check --json | jq '.findings[] | select(.level != "ok")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wanted, err := checkFeatures(features)
			if err != nil {
				return usageError{err}
			}
			c, err := a.loadConfig(warnsOfTLS)
			if err != nil {
				return err
			}
			both, err := newClients(c, a.logger, github.Options{})
			if err != nil {
				return err
			}
			defer both.close()
			findings := check.Look(cmd.Context(), check.Options{
				Config: c, Proxmox: both.pve, GitHub: both.gh, Features: wanted, Pin: pinOf(c), HandOff: a.handOffOf(c, both),
			})
			if err := cmd.Context().Err(); err != nil {
				return fmt.Errorf("check: interrupted: %w", err)
			}
			if asJSON {
				err = writeFindingsJSON(a.stdout, findings)
			} else {
				err = writeFindings(a.stdout, findings, terminal(a.stdout, a.env) != nil && lookup(a.env, "NO_COLOR") == "")
			}
			if err != nil {
				return err
			}
			return checkExit(check.Worst(findings))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().StringSliceVar(&features, "for", nil, "`WHAT` the token is to do: run, build, bootstrap (default: run, and build where image.schedule is set)")
	return cmd
}

// checkFeatures reads --for.
func checkFeatures(names []string) ([]check.Feature, error) {
	var list []check.Feature
	for _, name := range names {
		f := check.Feature(name)
		if !slices.Contains(check.Features(), f) {
			return nil, fmt.Errorf("--for %q: want run, build or bootstrap", name)
		}
		list = append(list, f)
	}
	return list, nil
}

// pinOf reads the certificates that Proxmox shows; nil where there is no TLS.
func pinOf(c *config.Config) func(context.Context) (string, error) {
	endpoints := overTLS(c.Proxmox.Endpoints)
	if len(endpoints) == 0 {
		return nil
	}
	return func(ctx context.Context) (string, error) { return observe(ctx, endpoints) }
}

// handOffOf makes the hand-offs as mayfly run does.
func (a *app) handOffOf(c *config.Config, both clients) func() (map[fleet.Way]fleet.Seeder, error) {
	return func() (map[fleet.Way]fleet.Seeder, error) { return newSeeders(c, both.pve, a.logger) }
}

// checkExit is the exit code of the worst finding, which has been told.
func checkExit(worst check.Level) error {
	switch worst {
	case check.Error:
		return saidError{ExitFailure}
	case check.Warning:
		return saidError{ExitWarning}
	}
	return nil
}

func writeFindingsJSON(w io.Writer, findings []check.Finding) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		Worst    check.Level     `json:"worst"`
		Findings []check.Finding `json:"findings"`
	}{check.Worst(findings), append([]check.Finding{}, findings...)})
}

// The words of levels, of one width, and their colours on a terminal.
var (
	levelWords  = map[check.Level]string{check.OK: "ok     ", check.Unseen: "unseen ", check.Warning: "warning", check.Error: "error  "}
	levelColour = map[check.Level]string{check.OK: "\x1b[32m", check.Unseen: "\x1b[36m", check.Warning: "\x1b[33m", check.Error: "\x1b[31m"}
)

// writeFindings writes the table for people: a line for each finding, its cure below, and how many there are of each level.
func writeFindings(w io.Writer, findings []check.Finding, colour bool) error {
	wide := 0
	for _, f := range findings {
		wide = max(wide, len([]rune(f.What)))
	}
	wide = min(wide, 44) // a longer one pushes its own line alone
	levels := map[check.Level]int{}
	var out strings.Builder
	for _, f := range findings {
		levels[f.Level]++
		word := levelWords[f.Level]
		if colour {
			word = levelColour[f.Level] + word + "\x1b[0m"
		}
		fmt.Fprintf(&out, "%s  %-*s  %s\n", word, wide, f.What, f.Reason)
		if f.Cure != "" {
			fmt.Fprintf(&out, "%9s-> %s\n", "", f.Cure)
		}
	}
	fmt.Fprintf(&out, "\n%d ok, ", levels[check.OK])
	if n := levels[check.Unseen]; n > 0 {
		fmt.Fprintf(&out, "%d unseen, ", n)
	}
	fmt.Fprintf(&out, "%s, %s\n", count(levels[check.Warning], "warning"), count(levels[check.Error], "error"))
	_, err := io.WriteString(w, out.String())
	return err
}
