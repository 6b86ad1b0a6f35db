package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"mayfly/internal/canary"
	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/fleet"
)

// checkFlags are the flags of mayfly check.
type checkFlags struct {
	features       []string
	json, fix, yes bool
	canary         bool
	record         string // the folder for what the servers answer
}

func newCheckCommand(a *app) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell what would keep jobs from running, and how to mend it",
		Long: `Check asks Proxmox VE and GitHub, with the configured tokens, for everything that can be seen beforehand: versions, certificate, clocks, the token's
privileges, templates, storages, VMIDs, labels. Each finding has its reason and the command or click that mends it. Without the flags below nothing is changed.

With --fix it prints what mends the findings as a script for root on a node; with --yes it makes those changes itself that the API can make, of templates
that this installation built and of nothing else, and looks again. With --canary it clones each template, boots the clone, asks it what it is, and destroys it.

The exit code is that of the worst finding: 0 all is well, 3 a warning, 1 an error. 2 is a mistake in the configuration.`,
		Example: `  mayfly check
  mayfly check --for build --config image.yaml
  mayfly check --fix >mend.sh
  mayfly check --canary
  mayfly check --record report
  mayfly check --json | jq '.findings[] | select(.level != "ok")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.check(cmd.Context(), f) },
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "as JSON")
	cmd.Flags().BoolVar(&f.fix, "fix", false, "print what mends the findings as a script")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "with --fix: make the changes that the API can make")
	cmd.Flags().BoolVar(&f.canary, "canary", false, "clone each template, boot the clone, ask it what it is, and destroy it")
	cmd.Flags().StringVar(&f.record, "record", "", "write what both servers answered, without secrets and names, into the new folder `DIR`, for a report")
	cmd.Flags().StringSliceVar(&f.features, "for", nil, "`WHAT` the token is to do: run, build, bootstrap (default: run, and build where image.schedule is set)")
	return cmd
}

// check looks, and shows or mends what it finds.
func (a *app) check(ctx context.Context, f checkFlags) error {
	wanted, err := checkFeatures(f.features)
	if err == nil {
		err = f.clash()
	}
	if err != nil {
		return usageError{err}
	}
	c, err := a.loadConfig(warnsOfTLS)
	if err != nil {
		return err
	}
	both, recorder, err := f.clients(c, a.logger)
	if err != nil {
		return err
	}
	defer both.close()
	look := func() ([]check.Finding, error) {
		o := check.Options{
			Config: c, Proxmox: both.pve, GitHub: both.gh, Features: wanted, Pin: pinOf(c), HandOff: a.handOffOf(c, both),
			Say: func(words string) { fmt.Fprintf(a.stderr, "canary: %s\n", words) },
		}
		if f.canary {
			o.Canary = &canary.Orders{Proxmox: both.pve, TokenID: c.Proxmox.TokenID}
		}
		findings := check.Look(ctx, o)
		if err := ctx.Err(); err != nil {
			for _, left := range findings {
				if left.ID == check.CanaryLeft {
					fmt.Fprintf(a.stderr, "%s\n  -> %s\n", left.Reason, left.Cure)
				}
			}
			return nil, fmt.Errorf("check: interrupted: %w", err)
		}
		return findings, nil
	}
	findings, err := look()
	if err == nil && recorder != nil {
		err = a.keep(recorder, f.record, c)
	}
	switch {
	case err != nil:
		return err
	case f.yes:
		a.mend(ctx, c, both.pve, check.Changes(findings))
		if findings, err = look(); err != nil {
			return err
		}
	case f.fix:
		if err := writeFixes(a.stdout, findings); err != nil {
			return err
		}
		return checkExit(check.Worst(findings))
	}
	if f.json {
		err = writeFindingsJSON(a.stdout, findings)
	} else {
		err = a.findingsViewOf().write(a.stdout, findings)
	}
	if err != nil {
		return err
	}
	return checkExit(check.Worst(findings))
}

// clash refuses flags that don't go together.
func (f checkFlags) clash() error {
	switch {
	case f.yes && !f.fix:
		return errors.New("--yes: only with --fix")
	case f.fix && f.canary:
		return errors.New("--canary and --fix: mend first, then try")
	case f.fix && f.json && !f.yes:
		return errors.New("--fix prints a script, not JSON; --json has the same commands for each finding")
	}
	return nil
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
