package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/image"
)

// listedImage is a template as `mayfly image list --json` prints it.
type listedImage struct {
	Image         string    `json:"image"`
	Version       string    `json:"version"`
	Node          string    `json:"node"`
	VMID          int       `json:"vmid"`
	RunnerVersion string    `json:"runner_version"`
	Released      string    `json:"runner_released,omitempty"`
	Built         time.Time `json:"built"`
	Contract      int       `json:"contract"`
	Promoted      bool      `json:"promoted"`
	Runners       int       `json:"runners"`
}

func newImageListCommand(a *app) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the templates that were built",
		Long: `List prints every template that this installation has built: its runner release with the days since GitHub published it (a release that is
30 days behind the latest gets no jobs), whether pools follow it, and how many VMs were cloned from it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := a.quietImages()
			if err != nil {
				return err
			}
			defer i.close()
			list, err := i.List(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				out := []listedImage{}
				for _, t := range list {
					l := listedImage{
						Image: t.Name, Version: t.Version, Node: t.Node, VMID: t.VMID, RunnerVersion: t.RunnerVersion, Built: t.Built,
						Contract: t.Contract, Promoted: t.Promoted, Runners: t.Runners,
					}
					if !t.RunnerReleased.IsZero() {
						l.Released = t.RunnerReleased.Format(time.DateOnly)
					}
					out = append(out, l)
				}
				enc := json.NewEncoder(a.stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(out)
			}
			if len(list) == 0 {
				_, err := fmt.Fprintln(a.stdout, "no image was built yet: mayfly image build")
				return err
			}
			w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "IMAGE\tVERSION\tNODE\tVMID\tRUNNER\tRELEASED\tPROMOTED\tRUNNERS")
			for _, t := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%d\n", t.Name, t.Version, t.Node, t.VMID, t.RunnerVersion, age(t, time.Now()), yesNo(t.Promoted), t.Runners)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// age is how long ago the runner in it was published.
func age(t image.Template, now time.Time) string {
	if t.RunnerReleased.IsZero() {
		return "unknown"
	}
	return fmt.Sprintf("%d days ago", int(now.Sub(t.RunnerReleased).Hours()/24))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// quietImages is a builder for what shows no progress.
func (a *app) quietImages() (*images, error) {
	c, err := a.loadConfig(nil)
	if err != nil {
		return nil, err
	}
	return a.newImages(c, imageSpec(c), nil)
}
