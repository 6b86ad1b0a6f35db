package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"mayfly/internal/check"
	"mayfly/internal/setup"
)

// initFlags are the flags that answer a question, with the key that each stands for.
var initFlags = []struct{ name, key, usage string }{
	{"proxmox-url", "proxmox.url", "`ADDRESS` of Proxmox VE; a host will do"},
	{"proxmox-fingerprint", "proxmox.fingerprint", "`SHA256` of the certificate to accept"},
	{"proxmox-ca-file", "proxmox.ca_file", "`FILE` of the certificate's CA"},
	{"proxmox-token-id", "proxmox.token_id", "`ID` of the token: USER@REALM!NAME"},
	{"proxmox-token-secret-file", "proxmox.token_secret_file", "`FILE` with the token's secret"},
	{"node", "proxmox.node", "`NODE` for the runners"},
	{"resource-pool", "proxmox.resource_pool", "resource `POOL` of runners; - for none"},
	{"vmids", "vmids.start", "`FIRST-LAST` VMID for the runners"},
	{"template", "pools[0].template", "`NAME` of the template of runners"},
	{"image", "pools[0].image", "`NAME` of an image to build instead"},
	{"storage", "image.storage", "`STORAGE` for an image's disks"},
	{"files-storage", "image.files_storage", "`STORAGE` for an image's files"},
	{"bridge", "image.bridge", "`BRIDGE` for an image's network"},
	{"image-resource-pool", "image.resource_pool", "resource `POOL` of images; - for none"},
	{"repository", "pools[0].target", "`OWNER/REPO`, or the repository's address"},
	{"github-api-url", "github.api_url", "`URL` of the API of another GitHub"},
	{"github-token-file", "github.token_file", "`FILE` with the token of GitHub"},
	{"labels", "pools[0].labels", "`LABELS` of the runners, with commas"},
	{"max-runners", "max_runners", "`N` runners at once"},
}

// envFiles are read where --env-file isn't given and one of them is there.
var envFiles = []string{"dispatcher.env", filepath.Join("dispatcher", "dispatcher.env")}

func newInitCommand(a *app) *cobra.Command {
	var yes, force, pin bool
	values := map[string]*string{}
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Ask a few questions and write mayfly.yaml",
		Long: `Init asks for what a configuration needs and tries each answer on Proxmox VE
or GitHub before it asks for the next. It writes mayfly.yaml, or the file of
--config, and the secrets beside it, readable by you alone. Nothing is written
before the last answer, and nothing on either server is changed.

Flags answer a question, and so does every variable that mayfly run reads, from
the environment or from dispatcher.env. An existing mayfly.yaml gives defaults,
and is only overwritten with --force; without, what would change is shown.`,
		Example: `  mayfly init
  mayfly init --repository NREL/EnergyPlus --image ubuntu-24.04
  mayfly init --yes --pin-certificate --env-file dispatcher/dispatcher.env`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, group := range [][]string{{"template", "image"}, {"proxmox-fingerprint", "proxmox-ca-file", "pin-certificate"}} {
				if err := onlyOne(cmd, group); err != nil {
					return usageError{err}
				}
			}
			o := a.setupOptions()
			o.Yes, o.PinCertificate = yes, pin
			for _, f := range initFlags {
				if cmd.Flags().Changed(f.name) {
					o.Answers = append(o.Answers, setup.Answer{Path: f.key, Flag: "--" + f.name, Value: *values[f.name]})
				}
			}
			return a.init(cmd.Context(), o, force)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVarP(&yes, "yes", "y", false, "ask nothing: take every default")
	flags.BoolVar(&force, "force", false, "overwrite files that are there")
	flags.BoolVar(&pin, "pin-certificate", false, "accept the certificate that is shown")
	for _, f := range initFlags {
		values[f.name] = flags.String(f.name, "", f.usage)
	}
	return cmd
}

// onlyOne refuses two flags of which one would have no effect.
func onlyOne(cmd *cobra.Command, names []string) error {
	first := ""
	for _, name := range names {
		switch {
		case !cmd.Flags().Changed(name):
		case first != "":
			return fmt.Errorf("--%s beside --%s: want one of the two", name, first)
		default:
			first = name
		}
	}
	return nil
}

// setupOptions are what the process knows for the questions.
func (a *app) setupOptions() setup.Options {
	o := setup.Options{
		In: a.stdin, Out: a.stdout, File: a.flags.config, EnvFile: a.flags.envFile, Env: a.env, Version: currentVersion().Version, Logger: a.logger,
	}
	if o.File == "" {
		o.File = defaultConfigFile
	}
	for _, file := range envFiles {
		if _, err := os.Stat(file); err == nil && o.EnvFile == "" {
			o.EnvFile = file
		}
	}
	return o
}

func (a *app) init(ctx context.Context, o setup.Options, force bool) error {
	files, err := setup.Ask(ctx, o)
	if errors.Is(err, setup.ErrNoAnswer) {
		err = usageError{err}
	}
	if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	changes, err := files.Changes()
	switch {
	case err != nil:
		return fmt.Errorf("init: %w", err)
	case changes == "":
		fmt.Fprintf(a.stdout, "\n%s is as it would be written: nothing to do.\n", files.Config.Path)
		return nil
	}
	if err := files.Write(force); errors.Is(err, setup.ErrExists) {
		fmt.Fprintf(a.stdout, "\nThis would change:\n%s", changes)
		return fmt.Errorf("init: %w; nothing was written: the same again with --force does it, --config FILE writes another file", err)
	} else if err != nil {
		return fmt.Errorf("init: %w", err)
	}
	a.printWritten(files)
	return nil
}

// printWritten says what was written, and what comes next.
func (a *app) printWritten(files setup.Files) {
	fmt.Fprintf(a.stdout, "\nWritten:\n  %s\n", files.Config.Path)
	for _, s := range files.Secrets {
		fmt.Fprintf(a.stdout, "  %s  (secret: only you can read it)\n", s.Path)
	}
	with := ""
	if here, err := filepath.Abs(defaultConfigFile); err != nil || here != files.Config.Path {
		with = " --config " + files.Config.Path
	}
	fmt.Fprintf(a.stdout, "Next:\n")
	if check.Worst(files.Findings) == check.Error {
		fmt.Fprintf(a.stdout, "  mend the errors above; mayfly check tells whether they are\n")
	}
	if files.Build != "" {
		fmt.Fprintf(a.stdout, "  mayfly image build %s%s\n", files.Build, with)
	}
	for _, command := range []string{"check", "run", "bootstrap"} {
		fmt.Fprintf(a.stdout, "  mayfly %s%s\n", command, with)
	}
	fmt.Fprintln(a.stdout, "Run serves jobs from here; bootstrap puts it into a container on the cluster.")
}
