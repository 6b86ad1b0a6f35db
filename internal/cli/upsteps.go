package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"mayfly/internal/bootstrap"
	"mayfly/internal/check"
	"mayfly/internal/fleet"
	"mayfly/internal/image"
	"mayfly/internal/setup"
	"mayfly/internal/up"
)

// missing reports whether there is no such file.
func (g *guide) missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

// configure asks for a configuration, as mayfly init does, and writes it.
func (g *guide) configure(ctx context.Context) (string, error) {
	o := g.setupOptions()
	o.Yes, o.PinCertificate, o.NoChecks = g.yes, g.pin, true // the next step makes them
	files, err := setup.Ask(ctx, o)
	switch {
	case errors.Is(err, setup.ErrInterrupted):
		return "", fmt.Errorf("nothing was written: %w", context.Canceled)
	case errors.Is(err, setup.ErrNoAnswer):
		return "", usageError{err}
	case err != nil:
		return "", err
	}
	if err := files.Write(false); err != nil {
		return "", err
	}
	fmt.Fprintln(g.stdout)
	c, err := g.load() // the questions have said its warnings
	if err != nil {
		return "", err
	}
	names := []string{o.File}
	for _, s := range files.Secrets {
		names = append(names, filepath.Base(s.Path))
	}
	return "wrote " + strings.Join(names, ", "), g.use(c)
}

// check stops at errors, but for a missing image, which the next step builds.
func (g *guide) check(ctx context.Context) (string, error) {
	features := []check.Feature{check.Run}
	missing, err := g.missingImages(ctx)
	if err == nil && len(missing) > 0 || g.config.Image.Schedule != "" {
		features = append(features, check.Build)
	}
	findings := check.Look(ctx, check.Options{
		Config: g.config, Proxmox: g.both.pve, GitHub: g.both.gh, Features: features, Pin: pinOf(g.config), HandOff: g.handOffOf(g.config, g.both),
	})
	if err := ctx.Err(); err != nil {
		return "", err
	}
	levels := map[check.Level]int{}
	for _, f := range findings {
		if f.ID == "template-missing" && slices.Contains(missing, strings.TrimPrefix(f.What, "image ")) {
			continue
		}
		levels[f.Level]++
		if f.Level.Bad() {
			g.out.Line(fmt.Sprintf("%s: %s: %s", f.Level, f.What, f.Reason))
			g.out.Verbatim("-> " + f.Cure)
		}
	}
	if n := levels[check.Error]; n > 0 {
		return "", fmt.Errorf("%s; do what stands behind ->", count(n, "error"))
	}
	return fmt.Sprintf("%d ok, %s", levels[check.OK], count(levels[check.Warning], "warning")), nil
}

// wanted are the images of pools, each once.
func (g *guide) wanted() []string {
	var names []string
	for _, p := range g.config.Pools {
		if p.Image != "" && !slices.Contains(names, p.Image) {
			names = append(names, p.Image)
		}
	}
	return names
}

// promoted finds the version of each wanted image that pools follow on the runners' node.
func (g *guide) promoted(ctx context.Context) (map[string]image.Template, error) {
	found := map[string]image.Template{}
	if len(g.wanted()) == 0 {
		return found, nil
	}
	b, err := g.newBuilder(g.both, imageSpec(g.config), nil)
	if err != nil {
		return nil, err
	}
	list, err := b.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range list { // newest first
		if _, newer := found[t.Name]; t.Promoted && !newer && t.Node == g.config.Proxmox.Node {
			found[t.Name] = t
		}
	}
	return found, nil
}

// missingImages are those of pools that have no promoted version.
func (g *guide) missingImages(ctx context.Context) ([]string, error) {
	found, err := g.promoted(ctx)
	return slices.DeleteFunc(g.wanted(), func(name string) bool { return found[name].VMID != 0 }), err
}

// built says which templates pools have.
func (g *guide) built(ctx context.Context) (string, error) {
	found, err := g.promoted(ctx)
	if err != nil {
		return "", err
	}
	var words []string
	for _, p := range g.config.Pools {
		if p.Image == "" {
			words = appendNew(words, "template "+p.Template)
			continue
		}
		t, ok := found[p.Image]
		if !ok {
			return "", nil
		}
		words = appendNew(words, templateWords(t))
	}
	return strings.Join(words, "; "), nil
}

func templateWords(t image.Template) string {
	return fmt.Sprintf("%s %s, VM %d on %s", t.Name, t.Version, t.VMID, t.Node)
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// build builds the images that pools lack.
func (g *guide) build(ctx context.Context) (string, error) {
	missing, err := g.missingImages(ctx)
	if err != nil {
		return "", err
	}
	view := g.newBuildView(ctx, g.stdout, "     ")
	defer view.close()
	i, err := g.newImages(g.config, imageSpec(g.config), view.event)
	if err != nil {
		return "", err
	}
	defer i.close()
	var words []string
	for _, name := range missing {
		built, err := i.build(ctx, name, imageBuild{})
		view.end()
		if err != nil {
			return "", err
		}
		for _, t := range built.Templates {
			words = append(words, templateWords(t))
		}
	}
	return strings.Join(words, "; "), nil
}

// bootstrap puts the dispatcher into a container, or a changed one in its place.
func (g *guide) bootstrap(ctx context.Context) (string, error) {
	result, err := g.bringAbout(ctx, g.config, bootstrapFlags{program: g.program, patience: bootstrap.DefaultPatience}, g.stdout, "     ")
	if err != nil {
		return "", err
	}
	g.log = fmt.Sprintf("in container %d: journalctl -u mayfly", result.VMID)
	where := fmt.Sprintf("the dispatcher serves in container %d on %s", result.VMID, result.Node)
	switch {
	case result.Unchanged:
		return "", up.Already(where)
	case result.Replaced != 0:
		where += fmt.Sprintf(", in place of container %d", result.Replaced)
	}
	return where, nil
}

// firstJob watches the first job, and with --no-bootstrap serves it, too.
func (g *guide) firstJob() up.Step {
	watch := func() *up.FirstJob {
		return &up.FirstJob{
			GitHub: g.both.gh, Starter: g.both.gh, Proxmox: g.both.pve, Spec: fleetSpec(g.config), Workflow: g.workflow, Out: g.out,
			Log: g.log,
		}
	}
	return up.Step{
		Name:    "job",
		Already: func(ctx context.Context) (string, error) { return watch().Step().Already(ctx) },
		Do: func(ctx context.Context) (string, error) {
			if g.noBootstrap {
				return g.serveFirst(ctx, watch())
			}
			return watch().Step().Do(ctx)
		},
	}
}

// serveFirst runs the dispatcher while the first job is watched. It ends when the job has, and jobs of others that came
// meanwhile.
func (g *guide) serveFirst(ctx context.Context, job *up.FirstJob) (string, error) {
	var controller atomic.Pointer[fleet.Controller]
	job.Log = "mayfly up --log-level info"
	job.Why = func(id int64) string { return whyWaits(controller.Load(), id) }
	g.out.Line("the dispatcher runs here until the job is done")

	dispatching, stop := context.WithCancel(ctx)
	defer stop()
	watching, cut := context.WithCancel(ctx)
	defer cut()
	served := make(chan error, 1)
	go func() {
		defer cut()
		served <- g.serve(dispatching, g.config, serving{drain: true, made: controller.Store})
	}()
	so, err := job.Step().Do(watching)
	ended := watching.Err() != nil && ctx.Err() == nil // by the dispatcher
	stop()
	if ctx.Err() != nil {
		g.out.Line("jobs that run may end; Ctrl-C once more ends at once, and the next call finds them")
	}
	if errServe := <-served; errServe != nil && (ended || err == nil) {
		return "", errServe
	}
	return so, err
}

// whyWaits is why the dispatcher lets a job wait; "" while it doesn't say.
func whyWaits(c *fleet.Controller, job int64) string {
	if c == nil {
		return ""
	}
	for _, w := range c.Status().Waiting {
		if w.Job == job {
			return w.Reason.Text
		}
	}
	return ""
}
