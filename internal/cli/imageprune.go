package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"mayfly/internal/image"
)

func newImagePromoteCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "promote IMAGE [VERSION]",
		Short: "Let pools follow a version of an image",
		Long: `Promote lets pools follow a version of an image, on every node that has it: the newest one when none is named, an older one to go back. Runners
that live stay as they are.`,
		Example: `  mayfly image promote debian-12
  mayfly image promote debian-12 20261118-0317`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := image.Name(args[0])
			if err != nil {
				return usageError{err}
			}
			i, err := a.quietImages()
			if err != nil {
				return err
			}
			defer i.close()
			var version string
			if len(args) == 2 {
				version = args[1]
			} else if version, err = i.Newest(cmd.Context(), name); err != nil {
				return err
			}
			if err := i.Promote(cmd.Context(), name, version); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s  %s  promoted\n", name, version)
			return err
		},
	}
}

func newImagePruneCommand(a *app) *cobra.Command {
	var r image.PruneRequest
	cmd := &cobra.Command{
		Use:   "prune [IMAGE…]",
		Short: "Destroy versions that nobody needs",
		Long: `Prune destroys old versions: of each image on each node all but the promoted one and the newest, image.keep together, and none that a runner was
cloned from. It also sweeps what a build has left that was killed.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				name, err := image.Name(arg)
				if err != nil {
					return usageError{err}
				}
				r.Images = append(r.Images, name)
			}
			if cmd.Flags().Changed("keep") && r.Keep < 1 {
				return usageError{fmt.Errorf("--keep %d: want 1 or more", r.Keep)}
			}
			i, err := a.quietImages()
			if err != nil {
				return err
			}
			defer i.close()
			list, err := i.Prune(cmd.Context(), r)
			for _, p := range list {
				words := "destroyed"
				switch {
				case !p.Gone:
					words = "stays: " + p.Reason
				case r.DryRun:
					words = "would be destroyed"
				}
				fmt.Fprintf(a.stdout, "%s  %s  VM %d on %s  %s\n", p.Name, p.Version, p.VMID, p.Node, words)
			}
			if err == nil && len(list) == 0 {
				fmt.Fprintln(a.stdout, "nothing to prune")
			}
			return err
		},
	}
	cmd.Flags().IntVar(&r.Keep, "keep", 0, "how many versions of each image stay on a node, `N` (default: image.keep)")
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "only tell what would go")
	return cmd
}
