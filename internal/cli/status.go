package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// watchPeriod is the time between two looks of --watch.
const watchPeriod = 2 * time.Second

func newStatusCommand(a *app) *cobra.Command {
	var address string
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the fleet of the running dispatcher",
		Long: `Status asks the running dispatcher how its fleet is: pools, runners with their state, waiting jobs with the reason, whether both sides
answer, what keeps jobs from being served, and what an administrator has to mend. It needs no secret, only the address at which
mayfly run listens (web.listen).

Exit codes: 0 new jobs can be served, 1 no dispatcher answers, 3 new jobs can't be served now.`,
		Example: `  mayfly status
  mayfly status --watch --address 10.40.0.5:9180
  mayfly status --json | jq -r '.waiting[] | [.since, .name, .reason.text] | @tsv'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON && watch {
				return usageError{fmt.Errorf("--json and --watch: want one of them")}
			}
			for {
				s, raw, err := a.askStatus(cmd.Context(), address)
				if err != nil && (!watch || cmd.Context().Err() != nil) {
					return err
				}
				wipe := terminal(a.stdout, a.env) != nil && watch
				if wipe {
					fmt.Fprint(a.stdout, "\x1b[H\x1b[2J")
				}
				switch {
				case err != nil:
					fmt.Fprintln(a.stdout, err)
				case asJSON:
					if _, err := a.stdout.Write(raw); err != nil {
						return err
					}
				default:
					showStatus(a.stdout, s, time.Now())
				}
				if !watch {
					if !s.Ready {
						return saidError{ExitWarning}
					}
					return nil
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(watchPeriod):
				}
				if !wipe {
					fmt.Fprintln(a.stdout)
				}
			}
		},
	}
	addressFlag(cmd, &address)
	cmd.Flags().BoolVar(&asJSON, "json", false, "the dispatcher's own words: what /status says (docs/operations.md)")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "again every 2 seconds, until Ctrl-C")
	return cmd
}
