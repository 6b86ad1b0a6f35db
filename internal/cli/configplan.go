package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mayfly/internal/config"
	"mayfly/internal/fleet"
)

func newConfigPlanCommand(a *app) *cobra.Command {
	var address string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan [FILE]",
		Short: "Tell what a new configuration would change, and from when on",
		Long: `Plan holds FILE, a mayfly.yaml that isn't in place yet, against what the running dispatcher follows: key by key the old and the new
value and from when on it counts, and which pools come and go with how many runners. It changes nothing. Without FILE it takes the
configuration that is in place: what still waits for a restart, for example.

Where no dispatcher answers, FILE is held against the configuration that is in place. Variables, --env-file and flags count as they
do for mayfly run: give those that the dispatcher has. A dispatcher shows no secrets, so those are always held against the
configuration that is in place.

Exit codes: 0 nothing would change, 1 there is nothing to hold it against, 2 it would be refused, 3 something would change.`,
		Example: `  mayfly config plan new.yaml
  mayfly config plan --env-file dispatcher.env --json new.yaml | jq -r '.changes[] | select(.takes_effect == "restart") | .key'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := a.planConfig(cmd.Context(), address, args)
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(a.stdout)
				enc.SetIndent("", "  ")
				if err := enc.Encode(p); err != nil {
					return err
				}
			} else {
				p.write(a.stdout)
			}
			if len(p.Changes) > 0 {
				return saidError{ExitWarning}
			}
			return nil
		},
	}
	addressFlag(cmd, &address)
	cmd.Flags().BoolVar(&asJSON, "json", false, "tell it as JSON")
	return cmd
}

// configPlan is what a new configuration would change.
type configPlan struct {
	// Against is the dispatcher's address, or the files in place.
	Against string          `json:"against"`
	Changes []config.Change `json:"changes"`
	Pools   []poolPlan      `json:"pools"`
	// Notes are what the comparison leaves out, and why.
	Notes []string `json:"notes"`
}

// poolPlan is a pool that comes, goes, or registers its runners otherwise.
type poolPlan struct {
	Pool string `json:"pool"`
	// Change is "added", "removed" or "registers otherwise".
	Change string `json:"change"`
	// Runners are those that it has now, Busy those of them that are with a job or in it.
	Runners int `json:"runners"`
	Busy    int `json:"busy"`
}

// The values of poolPlan.Change.
const (
	poolAdded     = "added"
	poolRemoved   = "removed"
	poolRegisters = "registers otherwise"
)

// planConfig holds a configuration against the one in force.
func (a *app) planConfig(ctx context.Context, address string, args []string) (configPlan, error) {
	var running configInForce
	_, from, unasked := a.ask(ctx, address, "/config", &running)
	var usage usageError
	if errors.As(unasked, &usage) {
		return configPlan{}, unasked
	}
	p := configPlan{Against: "the dispatcher at " + from, Changes: []config.Change{}, Pools: []poolPlan{}, Notes: []string{}}
	var status fleet.Status
	if unasked == nil {
		var err error
		if status, _, err = a.askStatus(ctx, address); err != nil {
			return p, err
		}
	}
	inPlace := configFiles(func() config.LoadOptions { return a.loadOptions() })
	options := inPlace()
	placed, misplaced := inPlace.load()
	if len(args) == 1 {
		a.flags.config = args[0]
	}
	next, err := inPlace.load()
	if err != nil {
		return p, usageError{errors.New("would be refused: " + oneLineOf(err))}
	}
	old := running.Values
	switch {
	case unasked == nil && misplaced == nil:
		old = old.WithSecretsOf(config.ValuesOf(placed))
	case unasked == nil:
		p.Notes = append(p.Notes, "secrets are not compared: the configuration in place can't be used: "+oneLineOf(misplaced))
	case len(args) == 0:
		return p, fmt.Errorf("nothing to hold it against: %w", unasked)
	case misplaced != nil:
		return p, fmt.Errorf("nothing to hold it against: %w; nor can the configuration in place be used: %s", unasked, oneLineOf(misplaced))
	default:
		old, p.Against = config.ValuesOf(placed), strings.Join(placesOf(options), ", ")
		p.Notes = append(p.Notes, unasked.Error())
	}
	for _, c := range old.Changes(config.ValuesOf(next)) {
		if flag, ok := running.Flags[c.Path]; ok {
			p.Notes = append(p.Notes, fmt.Sprintf("%s stays %s: the dispatcher has it from its flag %s", c.Path, c.Old, flag))
			continue
		}
		p.Changes = append(p.Changes, c)
	}
	if status.Standby != "" {
		p.Notes = append(p.Notes, "that dispatcher serves no runners now; "+status.Standby)
	}
	p.Pools = poolPlans(p.Changes, status)
	return p, nil
}

// poolPlans finds the pools that don't go on as they are, with the runners that they have.
func poolPlans(changes []config.Change, s fleet.Status) []poolPlan {
	list := []poolPlan{}
	for _, c := range changes {
		name, key, ok := poolKey(c.Path)
		if !ok || slices.ContainsFunc(list, func(p poolPlan) bool { return p.Pool == name && p.Change != poolRegisters }) {
			continue
		}
		p := poolPlan{Pool: name}
		switch {
		case key == "name" && c.Old == "":
			p.Change = poolAdded
		case key == "name":
			p.Change = poolRemoved
		case key == "labels" || key == "target" || key == "targets" || key == "runner_group_id":
			p.Change = poolRegisters
		default:
			continue
		}
		for _, r := range s.Runners {
			if r.Pool == name {
				p.Runners++
				if r.Job != 0 {
					p.Busy++
				}
			}
		}
		list = slices.DeleteFunc(list, func(q poolPlan) bool { return q.Pool == name })
		list = append(list, p)
	}
	return list
}

// poolKey splits "pools[ep].max".
func poolKey(path string) (pool, key string, ok bool) {
	rest, ok := strings.CutPrefix(path, "pools[")
	pool, key, closed := strings.Cut(rest, "].")
	return pool, key, ok && closed
}

// write tells the plan to people.
func (p configPlan) write(w io.Writer) {
	fmt.Fprintf(w, "held against %s\n", p.Against)
	whole := func(name string) (string, bool) { // pools that come or go are told in one line
		for _, q := range p.Pools {
			if q.Pool == name && q.Change != poolRegisters {
				return q.Change, true
			}
		}
		return "", false
	}
	var rows [][]string
	restarts := 0
	for _, c := range p.Changes {
		if c.When == config.NextStart {
			restarts++
		}
		name, key, inPool := poolKey(c.Path)
		change, one := whole(name)
		switch {
		case !inPool || !one:
			next := cmp.Or(c.New, "-")
			if c.New == c.Old { // a secret
				next = "another"
			}
			rows = append(rows, []string{c.Path, cmp.Or(c.Old, "-"), next, string(c.When)})
		case key == "name" && change == poolAdded:
			rows = append(rows, []string{"pools[" + name + "]", "-", change, string(config.AtOnce)})
		case key == "name":
			rows = append(rows, []string{"pools[" + name + "]", "there", change, string(config.AtOnce)})
		}
	}
	table(w, "KEY\tOLD\tNEW\tTAKES EFFECT", len(rows), func(i int) []string { return rows[i] })
	if len(p.Changes) == 0 {
		fmt.Fprintln(w, "nothing would change")
	}
	var lines []string
	for _, q := range p.Pools {
		if text := q.consequence(); text != "" {
			lines = append(lines, text)
		}
	}
	if restarts > 0 {
		lines = append(lines, fmt.Sprintf("%s at the next start, which no job notices: systemctl restart mayfly", counts(restarts)))
	}
	list(w, "what follows", lines)
	list(w, "notes", p.Notes)
}

// consequence says what becomes of the runners of a pool; "" where it has none.
func (p poolPlan) consequence() string {
	if p.Runners == 0 {
		return ""
	}
	left := fmt.Sprintf("pool %s: %s now, %d of them with a job", p.Pool, count(p.Runners, "runner"), p.Busy)
	if p.Change == poolRegisters {
		return left + ": a job is finished; idle runners that are registered as before end"
	}
	return left + ": a job is finished; the other runners go"
}

// counts says how many changes count.
func counts(changes int) string {
	if changes == 1 {
		return "1 change counts"
	}
	return count(changes, "change") + " count"
}
