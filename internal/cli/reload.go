package cli

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"mayfly/internal/config"
	"mayfly/internal/fleet"
)

// reloadPeriod is how often the configuration's files are looked at. A change counts when two looks in a row saw the same,
// so that a file that is just being written isn't read by half.
const reloadPeriod = 2 * time.Second

// reloader has the controller follow the configuration's files.
type reloader struct {
	controller *fleet.Controller
	files      configFiles
	read       string // their contents that the configuration of the start is from
	reloads    <-chan os.Signal
	log        *slog.Logger

	began    *config.Config // what keys that need a restart are held against
	inForce  *config.Config
	warnings atomic.Pointer[[]string]
	values   atomic.Pointer[configInForce]
}

func newReloader(c *config.Config, controller *fleet.Controller, how serving, log *slog.Logger) *reloader {
	r := &reloader{controller: controller, files: how.files, read: how.read, reloads: how.reloads, log: log, began: c, inForce: c}
	r.values.Store(inForce(c, c, how.files))
	return r
}

// configInForce is the page /config.
type configInForce struct {
	Values config.Values `json:"values"`
	// Flags name the flag that each key comes from which no file can change.
	Flags map[string]string `json:"flags"`
}

// inForce is what a process follows that began with one configuration and has read another since.
func inForce(began, read *config.Config, files configFiles) *configInForce {
	page := &configInForce{Values: config.InForce(began, read), Flags: map[string]string{}}
	if files != nil {
		for _, o := range files().Overrides {
			page.Flags[o.Path] = o.Flag
		}
	}
	return page
}

// Configuration implements [web.Configured].
func (r *reloader) Configuration() any { return r.values.Load() }

// Status is the fleet's, with what is wrong with the files among the warnings.
func (r *reloader) Status() fleet.Status {
	s := r.controller.Status()
	if w := r.warnings.Load(); w != nil {
		s.Warnings = append(append([]string{}, s.Warnings...), *w...)
	}
	return s
}

// run reads the configuration again at SIGHUP and when its files have changed, until ctx ends. Where a dispatcher has stood by,
// they may have changed long ago.
func (r *reloader) run(ctx context.Context) {
	tick := time.NewTicker(reloadPeriod)
	defer tick.Stop()
	last := r.files.contents()
	done := last
	if last != r.read {
		r.take(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.reloads:
			last = r.files.contents()
			done = last
			r.take(ctx)
		case <-tick.C:
			now := r.files.contents()
			if now == last && now != done {
				done = now
				r.take(ctx)
			}
			last = now
		}
	}
}

// take puts what the files say in force, or says why not.
func (r *reloader) take(ctx context.Context) {
	next, err := r.files.load()
	if err == nil {
		spec := fleetSpec(r.began)
		spec.Pools, spec.MaxRunners, spec.PollInterval = next.Pools, next.MaxRunners, next.PollInterval
		err = r.controller.Reload(ctx, spec)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		reason := oneLineOf(err)
		r.log.Error("configuration refused", "reason", reason, "next", "the one before stays in force; mend it, it is read again when it changes")
		r.warnings.Store(&[]string{"the new configuration is refused, the one before stays in force: " + reason})
		return
	}
	for _, c := range config.Changes(r.inForce, next) {
		r.log.Info("configuration changed", "key", c.Path, "old", c.Old, "new", c.New, "takes_effect", c.When)
	}
	warnings := []string{}
	for _, c := range config.Changes(r.began, next) {
		if c.When == config.NextStart {
			warnings = append(warnings, fmt.Sprintf("%s has changed, which needs a restart: systemctl restart mayfly", c.Path))
		}
	}
	r.inForce = next
	r.values.Store(inForce(r.began, next, r.files))
	r.warnings.Store(&warnings)
	r.log.Info("configuration read again", "pools", len(next.Pools), "max_runners", next.MaxRunners, "needs_restart", len(warnings))
}

// oneLineOf is everything that is wrong, in one line.
func oneLineOf(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// configFiles says which files a configuration comes from, now.
type configFiles func() config.LoadOptions

func (f configFiles) load() (*config.Config, error) {
	c, _, err := config.Load(f())
	return c, err
}

// contents tells the files by what is in them; one that can't be read is as good as empty.
func (f configFiles) contents() string {
	o, sum := f(), sha256.New()
	for _, path := range []string{o.File, o.EnvFile} {
		text, _ := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d %s", path, len(text), text)
	}
	return string(sum.Sum(nil))
}
