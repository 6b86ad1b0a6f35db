package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mayfly/internal/config"
)

func newConfigCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check, show and describe the configuration",
		Args:  noSuchCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigCheckCommand(a), newConfigPlanCommand(a), newConfigShowCommand(a), newConfigSchemaCommand(a), newConfigUserDataCommand(a))
	return cmd
}

func newConfigCheckCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check the configuration without using it",
		Long: "Check reads the configuration as `mayfly run` would and prints everything that is wrong, one line each, or a summary.\n" +
			"It asks neither Proxmox nor GitHub. Exit code 0: it can be used; 2: it can't.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.flags.config = args[0]
			}
			options := a.loadOptions()
			c, _, err := config.Load(options)
			if err != nil {
				return err
			}
			a.printSummary(options, c)
			return nil
		},
	}
}

// printSummary says in a few lines what was found to be right.
func (a *app) printSummary(options config.LoadOptions, c *config.Config) {
	for _, w := range c.Warnings {
		fmt.Fprintf(a.stdout, "warning: %s\n", w)
	}
	fmt.Fprintf(a.stdout, "ok: %s\n", strings.Join(placesOf(options), ", "))
	fmt.Fprintf(a.stdout, "installation %s: node %s of %s; at most %d at once, VMIDs %d to %d; GitHub at %s every %s\n",
		c.Installation, c.Proxmox.Node, strings.Join(c.Proxmox.Endpoints, ", "), c.MaxRunners, c.VMIDs.Start, c.VMIDs.End, c.GitHub.APIURL, config.Duration(c.PollInterval))
	for _, p := range c.Pools {
		from := "template " + p.Template
		if p.Image != "" {
			from = "the promoted version of image " + p.Image
		}
		fmt.Fprintf(a.stdout, "pool %s: %s, at most %d from %s, labels %s\n",
			p.Name, p.TargetList(), p.Max, from, strings.Join(p.RegistrationLabels(), ", "))
	}
}

// placesOf names where a configuration comes from.
func placesOf(options config.LoadOptions) []string {
	from := []string{"environment"}
	if options.EnvFile != "" {
		from = append([]string{options.EnvFile}, from...)
	}
	if options.File != "" {
		from = append([]string{options.File}, from...)
	}
	return from
}

func newConfigShowCommand(a *app) *cobra.Command {
	var origin bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the values in force, as YAML",
		Long: "Show prints the values in force as a mayfly.yaml that means the same; secrets as \"***\".\n" +
			"With --origin each line says where its value came from.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, origins, err := config.Load(a.loadOptions())
			if err != nil {
				return err
			}
			return config.Show(a.stdout, c, origins, origin)
		},
	}
	cmd.Flags().BoolVar(&origin, "origin", false, "with the place that each value came from")
	return cmd
}

func newConfigSchemaCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of mayfly.yaml, for editors",
		Long: "Schema prints the JSON Schema (2020-12) of mayfly.yaml. Saved as mayfly.schema.json, an editor with a YAML language server\n" +
			"reads it when the file begins with: # yaml-language-server: $schema=mayfly.schema.json",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := config.Schema()
			if err != nil {
				return fmt.Errorf("make schema: %w", err)
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
}

func newConfigUserDataCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "user-data",
		Short: "Print the cloud-init user-data template in force",
		Long: "User-data prints the template that the iso and snippet hand-offs fill in: the file that the configuration names, or the one\n" +
			"inside the binary. Save it under another name to change it, and set USER_DATA_TEMPLATE to that.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, _, err := config.Load(a.loadOptions())
			if err != nil {
				return err
			}
			text, _, err := c.UserData()
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.stdout, text)
			return err
		},
	}
}
