package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"mayfly/internal/config"
	"mayfly/internal/up"
)

// upFlags are the flags of `mayfly up`.
type upFlags struct {
	until, workflow, program, listen string
	noBootstrap, yes, pin            bool
}

func newUpCommand(a *app) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Go from nothing to the first job, step by step",
		Long: `Up is the whole guide in one command: it asks for a configuration where there is none, checks it on both servers, builds the image where a
pool's isn't there, puts the dispatcher into a container, and shows the first job from the queue to its end. Each step is skipped when it is
already so, and ends the command with the cure where it can't go on.

Nothing is noted between two calls: what is done is seen from Proxmox VE, GitHub and the configuration. So it may be ended at any point
(Ctrl-C cleans up first), and the next call goes on where things stand.

With --no-bootstrap the dispatcher runs here until the first job is done, as mayfly run would: jobs are served no longer than that.`,
		Example: `  mayfly up
  mayfly up --until check
  mayfly up --no-bootstrap --workflow build.yml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.until, "until", "", "the last `STEP` to do: "+strings.Join(up.Names((&guide{}).steps()), ", "))
	flags.BoolVarP(&f.yes, "yes", "y", false, "where there is no configuration: ask nothing, take every default")
	flags.BoolVar(&f.pin, "pin-certificate", false, "where there is no configuration: accept the certificate that Proxmox shows now")
	flags.StringVar(&f.workflow, "workflow", "", "`FILE` in .github/workflows to start for the first job, when none waits (trigger workflow_dispatch)")
	flags.StringVar(&f.program, "program", "", "`FILE` to put into the container: mayfly for linux/amd64 (default: this program)")
	flags.StringVar(&f.listen, "listen", "", "with --no-bootstrap: `HOST:PORT` of /healthz and /readyz, port 0 for any free one (default: web.listen)")
	flags.BoolVar(&f.noBootstrap, "no-bootstrap", false, "run the dispatcher here until the first job is done")
	return cmd
}

// guide is one call of `mayfly up`, with what its steps have made for the later ones.
type guide struct {
	*app
	upFlags
	out    *up.Printer
	config *config.Config
	both   clients
	log    string // where the dispatcher's log is
}

// steps are the guide's, in their order.
func (g *guide) steps() []up.Step {
	steps := []up.Step{
		{Name: "init", Already: g.configured, Do: g.configure},
		{Name: "check", Do: g.check},
		{Name: "image", Already: g.built, Do: g.build},
		{Name: "bootstrap", Do: g.bootstrap},
		g.firstJob(),
	}
	if g.noBootstrap {
		steps = slices.DeleteFunc(steps, func(s up.Step) bool { return s.Name == "bootstrap" })
	}
	return steps
}

func (a *app) up(ctx context.Context, f upFlags) error {
	g := &guide{app: a, upFlags: f, out: up.NewPrinter(a.stdout)}
	names := up.Names(g.steps())
	if f.until != "" && !slices.Contains(names, f.until) {
		return usageError{fmt.Errorf("--until %q: want %s", f.until, strings.Join(names, ", "))}
	}
	if a.flags.logLevel == "" {
		a.flags.logLevel = "warn" // the steps tell what goes on
	}
	defer func() {
		if g.config != nil {
			g.both.close()
		}
	}()
	err := up.Run(ctx, g.steps(), f.until, g.out)
	var problems config.Problems
	if errors.As(err, &problems) {
		return problems // a line each
	}
	return err
}

// configured loads the configuration. Where there is no file and the environment isn't enough, there is none.
func (g *guide) configured(context.Context) (string, error) {
	from := g.loadOptions().File
	c, err := g.load()
	var problems config.Problems
	if errors.As(err, &problems) && (from == "" || g.missing(from)) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, w := range c.Warnings {
		if !warnsOfTLS(c, w) { // which the next step tells
			g.out.Line("warning: " + w.String())
		}
	}
	if from == "" {
		from = "the environment is the configuration"
	}
	return from, g.use(c)
}

// load reads the configuration, with the command's flags, and leaves its warnings to the caller.
func (g *guide) load() (*config.Config, error) {
	var overrides []config.Override
	if g.listen != "" {
		overrides = append(overrides, config.Override{Path: "web.listen", Flag: "--listen", Value: g.listen})
	}
	return g.loadConfig(func(*config.Config, config.Warning) bool { return true }, overrides...)
}

// use makes the clients that the later steps share.
func (g *guide) use(c *config.Config) error {
	both, err := newClients(c, g.logger)
	if err != nil {
		return err
	}
	g.config, g.both = c, both
	return nil
}
