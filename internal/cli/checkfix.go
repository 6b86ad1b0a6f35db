package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"mayfly/internal/check"
	"mayfly/internal/config"
)

// writeFixes writes what mends the findings as a script for root: commands as they are, everything else as comments.
func writeFixes(w io.Writer, findings []check.Finding) error {
	var out strings.Builder
	out.WriteString("# What mends the findings of mayfly check. Read it, then run the commands as root, each on the node that is named.\n")
	changes := check.Changes(findings)
	bad := 0
	for _, f := range findings {
		if !f.Level.Bad() {
			continue
		}
		bad++
		fmt.Fprintf(&out, "\n# %s: %s: %s\n", f.Level, f.What, f.Reason)
		switch {
		case f.Commands == nil && f.Cure != "":
			fmt.Fprintf(&out, "# by hand: %s\n", f.Cure)
			continue
		case f.Commands == nil:
			continue
		case f.Commands.Node == "":
			out.WriteString("# on any node:\n")
		default:
			fmt.Fprintf(&out, "# on node %s:\n", f.Commands.Node)
		}
		for _, line := range f.Commands.Lines {
			out.WriteString(line + "\n")
		}
	}
	if bad == 0 {
		out.WriteString("\n# Nothing is to be mended.\n")
	}
	if len(changes) > 0 {
		out.WriteString("\n# mayfly check --fix --yes makes these changes by the API itself, if its token may:\n")
		for _, c := range changes {
			fmt.Fprintf(&out, "# %s\n", c)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// mend makes changes, each announced, and says what became of it. A change that fails leaves its finding to the second look.
func (a *app) mend(ctx context.Context, c *config.Config, api check.Changer, changes []check.Change) {
	if len(changes) == 0 {
		fmt.Fprintln(a.stderr, "nothing that the API can mend; mayfly check --fix without --yes prints what root can")
	}
	for _, change := range changes {
		if ctx.Err() != nil {
			return
		}
		fmt.Fprintf(a.stderr, "%s\n", change)
		if err := check.Apply(ctx, api, c, change); err != nil {
			fmt.Fprintf(a.stderr, "  not done: %s\n", err)
			continue
		}
		fmt.Fprintln(a.stderr, "  done")
	}
}
