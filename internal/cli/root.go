package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"mayfly/internal/config"
)

// defaultConfigFile is read when --config isn't given and it is there.
const defaultConfigFile = "mayfly.yaml"

// commands lists the constructors of all commands, in the order of the help text.
func commands() []func(*app) *cobra.Command {
	return []func(*app) *cobra.Command{
		newUpCommand,
		newInitCommand,
		newRunCommand,
		newStatusCommand,
		newWhyCommand,
		newGCCommand,
		newFirstStartCommand,
		newCheckCommand,
		newBootstrapCommand,
		newDemoCommand,
		newImageCommand,
		newSimCommand,
		newConfigCommand,
		newVersionCommand,
	}
}

// Options are what a process hands to its commands.
type Options struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Env is the environment, "NAME=value" each.
	Env []string
}

// app is what the commands of one process share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            []string
	flags          globalFlags
	// logger writes to stderr; never nil. loadConfig replaces it by one with the configured level and format.
	logger *slog.Logger
	// started tells an error of a command from one in how it was called.
	started bool
}

// globalFlags are the flags that every command has.
type globalFlags struct {
	config, envFile, logLevel, logFormat string
}

// Main runs the command that args name (without the program's own name) and returns the exit code: ExitOK,
// ExitFailure or ExitUsage. Errors are written to stderr, one line each. Commands end when ctx does.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env []string) int {
	a := newApp(Options{Stdin: stdin, Stdout: stdout, Stderr: stderr, Env: env})
	root := a.root()
	root.SetArgs(args)
	return a.exitCode(root.ExecuteContext(ctx))
}

// NewRoot builds the root command with all others below it.
func NewRoot(o Options) *cobra.Command { return newApp(o).root() }

func newApp(o Options) *app {
	a := &app{stdin: o.Stdin, stdout: o.Stdout, stderr: o.Stderr, env: o.Env}
	a.logger = newLogger(a.stderr, config.Log{})
	return a
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "mayfly",
		Short: "One-job GitHub Actions runners on Proxmox VE",
		Long: "Mayfly runs GitHub Actions jobs on Proxmox VE: each queued job gets a fresh VM, cloned from a template,\n" +
			"that registers as a runner for that one job, runs it, and is destroyed.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if err := a.checkFlags(); err != nil {
				return err
			}
			a.logger = newLogger(a.stderr, config.Log{Level: a.flags.logLevel, Format: a.flags.logFormat})
			a.started = true
			return nil
		},
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	f := root.PersistentFlags()
	f.StringVarP(&a.flags.config, "config", "c", "", "configuration `FILE` (default ./"+defaultConfigFile+";\nwhere it isn't there, the environment alone)")
	f.StringVar(&a.flags.envFile, "env-file", "", "`FILE` of NAME=value lines, read as if they were\nin the environment")
	f.StringVar(&a.flags.logLevel, "log-level", "", "`LEVEL`: debug, info, warn or error (default info)")
	f.StringVar(&a.flags.logFormat, "log-format", "", "`FORMAT`: text or json (default text)")
	for _, construct := range commands() {
		root.AddCommand(construct(a))
	}
	return root
}

func (a *app) checkFlags() error {
	if l := a.flags.logLevel; l != "" && !config.IsLogLevel(l) {
		return fmt.Errorf("--log-level %q: want debug, info, warn or error", l)
	}
	if f := a.flags.logFormat; f != "" && !config.IsLogFormat(f) {
		return fmt.Errorf("--log-format %q: want text or json", f)
	}
	return nil
}

// loadConfig reads the configuration that the flags name, gives the log its configured shape and says the warnings but
// for those that except reports, which the command says itself; nil excepts none. overrides are the command's own flags
// that stand for a key. The error is of type config.Problems.
func (a *app) loadConfig(except func(*config.Config, config.Warning) bool, overrides ...config.Override) (*config.Config, error) {
	c, _, err := config.Load(a.loadOptions(overrides...))
	if err != nil {
		return nil, err
	}
	a.logger = newLogger(a.stderr, c.Log)
	for _, w := range c.Warnings {
		if except == nil || !except(c, w) {
			a.logger.Warn("configuration", "key", w.Path, "from", w.Origin.String(), "reason", w.Text)
		}
	}
	return c, nil
}

func (a *app) loadOptions(overrides ...config.Override) config.LoadOptions {
	if a.flags.logLevel != "" {
		overrides = append(overrides, config.Override{Path: "log.level", Flag: "--log-level", Value: a.flags.logLevel})
	}
	if a.flags.logFormat != "" {
		overrides = append(overrides, config.Override{Path: "log.format", Flag: "--log-format", Value: a.flags.logFormat})
	}
	file := a.flags.config
	if file == "" {
		if _, err := os.Stat(defaultConfigFile); !errors.Is(err, os.ErrNotExist) {
			file = defaultConfigFile
		}
	}
	return config.LoadOptions{File: file, EnvFile: a.flags.envFile, Env: a.env, Overrides: overrides}
}

// noSuchCommand refuses arguments of a command that only groups others.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0])
	cmd.SuggestionsMinimumDistance = 2 // as cobra's own default, which it sets elsewhere
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("%s; did you mean %q?", err, near[0])
	}
	return fmt.Errorf("%s; see %s --help", err, cmd.CommandPath())
}
