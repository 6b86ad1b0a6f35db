package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/config"
	"mayfly/internal/fleet"
	"mayfly/internal/web"
)

// demoFlags are the flags of `mayfly demo`.
type demoFlags struct {
	jobs   int
	once   bool
	image  string
	seed   uint64
	output string
	listen string
}

// Defaults of the demo. Real machines are few: a laptop has to bear them.
const (
	demoJobs     = 12
	demoRunners  = 8
	demoJobsQEMU = 3
	demoRealVMs  = 2
)

func newDemoCommand(a *app) *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole loop on stand-ins, without Proxmox or GitHub",
		Long: `Demo starts a stand-in of Proxmox VE and one of GitHub on loopback ports, queues jobs, and serves them as mayfly run would: the same
clients, the same controller, only less patient. Each job gets its own simulated VM; with --qemu it is a real one.

Jobs keep coming until Ctrl-C, which lets those that run end and leaves nothing behind. With --once it ends by itself. The figures
at the end are taken from what the stand-ins saw; the exit code is 1 when one of them is wrong.`,
		Example: `  mayfly demo
  mayfly demo --once --jobs 50 --seed 7 --output json
  mayfly demo --once --qemu`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.complete(cmd.Flags().Changed("jobs")); err != nil {
				return err
			}
			return a.demo(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&f.jobs, "jobs", demoJobs, "how many jobs to queue with --once; without it, how many are kept waiting or running")
	flags.BoolVar(&f.once, "once", false, "end when the jobs are done and their VMs gone")
	flags.StringVar(&f.image, "qemu", "", "boot real VMs from the guest `IMAGE` of this name: tiny, systemd or cloudinit")
	flags.Lookup("qemu").NoOptDefVal = "tiny"
	flags.Uint64Var(&f.seed, "seed", 1, "decides when jobs come and how long they last")
	flags.StringVar(&f.output, "output", outputText, "text (a table on a terminal, else lines) or json (an object a line, the last one the summary)")
	flags.StringVar(&f.listen, "listen", "", "`HOST:PORT` of /status, /metrics, /healthz and /readyz, for mayfly status and mayfly why (default: nowhere)")
	return cmd
}

// The values of --output.
const (
	outputText = "text"
	outputJSON = "json"
)

// complete checks the flags and fills in what depends on others.
func (f *demoFlags) complete(jobsGiven bool) error {
	if f.image != "" && !jobsGiven {
		f.jobs = demoJobsQEMU
	}
	if f.jobs < 1 || f.jobs > 10_000 {
		return usageError{fmt.Errorf("--jobs %d: want a number from 1 to 10000", f.jobs)}
	}
	if f.output != outputText && f.output != outputJSON {
		return usageError{fmt.Errorf("--output %q: want %s or %s", f.output, outputText, outputJSON)}
	}
	return nil
}

// demo runs the whole loop until the jobs are done or ctx ends, and says how it went.
func (a *app) demo(ctx context.Context, f demoFlags) error {
	view, log := a.demoOutput(f)
	w, err := newDemoWorld(ctx, f.seed, f.image, log)
	if err != nil {
		return err
	}
	defer w.close()
	events := newEventQueue()
	most := demoRunners
	if f.image != "" {
		most = demoRealVMs
	}
	figures := newFigures()
	controller, both, err := demoController(w, most, f.image != "", log, events.put, figures)
	if err != nil {
		return err
	}
	defer both.close()

	l, err := listenWeb(ctx, f.listen)
	if err != nil {
		return err
	}
	run, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	ended := make(chan error, 1)
	go func() { ended <- controller.Run(run) }()
	if l != nil {
		served := make(chan error, 1)
		go func() { served <- web.Serve(run, l, controller, figures.Handler(log), log) }()
		defer func() {
			cut()
			<-served //nolint:errcheck // nobody misses the pages of a demo that has ended
		}()
	}

	show := &demoShow{flags: f, view: view, world: w, controller: controller, events: events, cut: cut}
	err = show.until(ctx, ended)
	view.end()
	if err != nil {
		return err
	}
	return a.concludeDemo(f, show, most)
}

// demoOutput chooses how to show the demo and what to do with the log: on a terminal it would tear up the table. Warnings
// are part of the show (VMIDs of VMs that the token can't see), so they are for those who ask.
func (a *app) demoOutput(f demoFlags) (demoView, *slog.Logger) {
	level := a.flags.logLevel
	if level == "" {
		level = "error"
	}
	log := newLogger(a.stderr, config.Log{Level: level, Format: a.flags.logFormat})
	if f.output == outputJSON {
		return jsonView{enc: json.NewEncoder(a.stdout), log: func(text string) { fmt.Fprintln(a.stderr, text) }}, log
	}
	if t := terminal(a.stdout, a.env); t != nil && a.flags.logLevel == "" {
		title := "mayfly demo: stand-ins of Proxmox VE and GitHub, simulated VMs"
		if f.image != "" {
			title = "mayfly demo: stand-ins of Proxmox VE and GitHub, real VMs (" + f.image + ")"
		}
		return &tableView{f: t, color: lookup(a.env, "NO_COLOR") == "", title: title}, slog.New(slog.DiscardHandler)
	}
	return plainView{a.stdout}, log
}

// demoShow is a demo under way.
type demoShow struct {
	flags      demoFlags
	view       demoView
	world      *demoWorld
	controller *fleet.Controller
	events     *eventQueue
	cut        context.CancelFunc

	queued      int
	interrupted bool
	draining    bool
}

const (
	// demoFrame is the time between two looks at the stand-ins.
	demoFrame = 100 * time.Millisecond
	// demoQuiet is how long nothing may happen before the demo gives up on its jobs. Real machines boot slowly.
	demoQuiet = time.Minute
	// demoDrain is how long jobs that run may take to end after Ctrl-C.
	demoDrain = 30 * time.Second
)

// until shows the demo until its controller has ended.
func (d *demoShow) until(ctx context.Context, ended <-chan error) error {
	began := time.Now()
	model := newDemoModel(began)
	jobs := newDemoQueue(d.flags, began)
	tick := time.NewTicker(demoFrame)
	defer tick.Stop()
	lastNews := began
	var cutAt <-chan time.Time
	told := ctx.Done()
	for {
		select {
		case err := <-ended:
			d.look(model)
			return err
		case <-told:
			told = nil
			d.interrupted = true
			d.drain()
			d.view.note("Ctrl-C: jobs that run may end, everything else goes; once more ends at once")
			cutAt = time.After(demoDrain)
		case <-cutAt:
			d.view.note(fmt.Sprintf("jobs still run after %s: cutting the power of their VMs", demoDrain))
			d.cut()
		case <-tick.C:
		}
		if !d.draining {
			d.queued += jobs.add(d.world.gh, model, time.Now())
		}
		if d.look(model) {
			lastNews = time.Now()
		}
		done, _, _ := model.counts()
		if d.flags.once && done == d.flags.jobs {
			d.drain()
		}
		if quiet := time.Since(lastNews); quiet > demoQuiet {
			d.view.note(fmt.Sprintf("nothing has happened for %s: giving up", quiet.Round(time.Second)))
			d.cut()
		}
	}
}

func (d *demoShow) drain() {
	if !d.draining {
		d.draining = true
		d.controller.Drain()
	}
}

// look brings the model up to date, shows it, and reports whether there was any news.
func (d *demoShow) look(model *demoModel) bool {
	now := time.Now()
	var news []demoNews
	events := d.events.take()
	news = append(news, model.tookJobs(d.world.gh.State().Jobs, d.controller.Status().Waiting, now)...)
	for _, e := range events {
		news = append(news, model.tookEvent(e)...)
	}
	sortNews(news)
	for _, n := range news {
		d.view.news(n)
	}
	d.view.frame(model, now)
	return len(news) > 0
}

// concludeDemo says how it went, from the stand-ins' records, and returns an error where a figure is wrong.
func (a *app) concludeDemo(f demoFlags, d *demoShow, most int) error {
	s := summarize(d.world.pve.State(), d.world.gh.State())
	if f.output == outputJSON {
		if err := json.NewEncoder(a.stdout).Encode(s); err != nil {
			return fmt.Errorf("write summary: %w", err)
		}
	} else {
		s.print(a.stdout)
	}
	jobs := 0
	if f.once && !d.interrupted {
		jobs = f.jobs
	}
	if wrong := s.wrong(jobs, most); len(wrong) > 0 {
		return fmt.Errorf("demo: %w", errors.Join(wrong...))
	}
	if f.output == outputText {
		nextStep(a.stdout)
	}
	return nil
}

// nextStep says how to go on with a cluster of one's own.
func nextStep(w io.Writer) {
	fmt.Fprint(w, `
Next, on your own cluster: README.md has the two tokens, then
  mayfly up   # asks, checks, builds the image, puts the dispatcher into a container, shows the first job
`)
}
