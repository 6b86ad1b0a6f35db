package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"mayfly/internal/config"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/lease"
	"mayfly/internal/metrics"
	"mayfly/internal/web"
)

func newRunCommand(a *app) *cobra.Command {
	var listen string
	var drain bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve queued jobs until it is told to stop",
		Long: `Run serves queued jobs: it watches GitHub's queue, clones a VM for each job that a pool can take, hands it a one-job
identity, and destroys it when the job has ended. It goes on until SIGINT (Ctrl-C) or SIGTERM, and then leaves runners as they
are: the next start finds them. With --drain it takes no more jobs then, lets those that run finish, and ends when no runner is
left. A second signal ends it at once, which loses nothing either.

What no waiting can mend ends it at the start: a wrong configuration (exit code 2), a token that Proxmox or GitHub refuses, a
template that isn't on the node (exit code 1); for an image of which no version is promoted it waits. A side that doesn't answer is asked again, ever more slowly; meanwhile /readyz
says no and why. Once it has served, nothing of that ends it any more: it stops creating and says so.

With lease.enabled it works only while it holds the installation's lease, and stands by for its holder until then (docs/ha.md).

The configuration is read again at SIGHUP, and when its files change: pools, max_runners and poll_interval take effect at once,
other keys at the next start. A file that is wrong changes nothing; the log and the warnings of /readyz say why.

Under systemd (Type=notify) it tells when it is ready, what it does and, with WatchdogSec=, that it is alive.`,
		Example: `  mayfly run --env-file dispatcher/dispatcher.env
  mayfly run --config /etc/mayfly/mayfly.yaml --log-format json
  curl -s http://127.0.0.1:9180/readyz`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// A reload that comes before there is anything to reload must not end the process, nor be lost.
			reloads := make(chan os.Signal, 1)
			signal.Notify(reloads, syscall.SIGHUP)
			defer signal.Stop(reloads)
			var overrides []config.Override
			if cmd.Flags().Changed("listen") {
				overrides = append(overrides, config.Override{Path: "web.listen", Flag: "--listen", Value: listen})
			}
			var files configFiles = func() config.LoadOptions { return a.loadOptions(overrides...) }
			read := files.contents()
			c, err := a.loadConfig(warnsOfTLS, overrides...)
			if err != nil {
				return err
			}
			return a.serve(cmd.Context(), c, serving{drain: drain, files: files, read: read, reloads: reloads})
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "", "`HOST:PORT` of /healthz, /readyz, /status, /config and /metrics, port 0 for any free one (default: web.listen, 127.0.0.1:9180)")
	cmd.Flags().BoolVar(&drain, "drain", false, "at the first signal take no more jobs, and end when the last runner is gone")
	return cmd
}

// serving says how to serve.
type serving struct {
	// drain goes on until the fleet is empty when it is told to stop.
	drain bool
	// term ends with the lease; nil where there is none. With one the doors are the caller's.
	term *lease.Term
	// files are read again when they differ from what was read, and at each of reloads; nil keeps the configuration of the start.
	files   configFiles
	read    string
	reloads <-chan os.Signal
	// made hears of the controller before that runs, following of what follows the files then; nil for nobody.
	made      func(*fleet.Controller)
	following func(*reloader)
}

// serve keeps the fleet until ctx ends. Everything that it starts has ended when it returns.
func (a *app) serve(ctx context.Context, c *config.Config, how serving) error {
	if c.Lease.Enabled {
		return a.serveInTurn(ctx, c, how)
	}
	figures := newFigures()
	both, err := newWrappedClients(c, a.logger, github.Options{Wrap: figures.Transport(metrics.GitHub)}, figures.Transport(metrics.Proxmox))
	if err != nil {
		return err
	}
	defer both.close()
	teller, err := a.teller(both.pve)
	if err != nil {
		return err
	}
	err = a.serveFleet(ctx, c, both, teller, figures, how)
	teller.confess(ctx, err)
	return err
}

// serveFleet is serve with the clients of both sides, and who tells Proxmox how it goes, if anybody.
func (a *app) serveFleet(ctx context.Context, c *config.Config, both clients, teller *teller, figures *metrics.Recorder, how serving) error {
	seeders, err := newSeeders(c, both.pve, a.logger)
	if err != nil {
		return err
	}
	if err := checkSnippetStorage(ctx, c, seeders, both.pve); err != nil {
		return err
	}
	spec := fleetSpec(c)
	if len(seeders) > 0 {
		if spec.UserData, _, err = c.UserData(); err != nil {
			return err
		}
	}
	controller, err := newController(spec, both, handoff.AgentOptions{}, seeders, a.logger, nil, figures)
	if err != nil {
		return usageError{err}
	}
	figures.Watch(metrics.Sources{Status: controller.Status, Budget: both.gh.Budget})
	keepImages, err := a.imageKeeper(c, both)
	if err != nil {
		return err
	}
	var l net.Listener
	if how.term == nil {
		if l, err = listenWeb(ctx, c.Web.Listen); err != nil {
			return err
		}
	}
	if how.made != nil {
		how.made(controller)
	}
	fields := []any{
		"version", currentVersion().Version, "installation", c.Installation, "node", c.Proxmox.Node,
		"pools", len(c.Pools), "max_runners", c.MaxRunners, "listen", address(l),
	}
	if how.term != nil {
		a.logger.Info("mayfly serves", fields...)
	} else {
		a.logger.Info("mayfly starts", fields...)
	}

	// A signal is a wish: steps in flight are let through, and everything else goes on until they are.
	told := ctx
	group, ctx := errgroup.WithContext(context.WithoutCancel(told))
	group.Go(func() error {
		if err := controller.Run(ctx); err != nil {
			return err
		}
		return errStopped // ends the others, too
	})
	group.Go(func() error { return stopWhenTold(ctx, told, controller, how.drain, a.logger) })
	var state web.Fleet = controller
	if how.files != nil {
		r := newReloader(c, controller, how, a.logger)
		state = r
		if how.following != nil {
			how.following(r)
		}
		group.Go(func() error {
			r.run(ctx)
			return nil
		})
	}
	if l != nil {
		group.Go(func() error { return web.Serve(ctx, l, state, figures.Handler(a.logger), a.logger) })
	}
	if how.term == nil {
		group.Go(func() error {
			h := herald{fleet: controller, log: a.logger, notify: systemd(a.logger)}
			h.run(ctx, told)
			return nil
		})
	} else {
		group.Go(func() error {
			select {
			case <-ctx.Done():
				return nil
			case <-how.term.Lost():
				return lease.ErrLost // steps in flight are cut off: what they would change isn't sent any more
			}
		})
	}
	if teller != nil {
		group.Go(func() error {
			teller.tell(ctx, controller)
			return nil
		})
	}
	if keepImages != nil {
		group.Go(func() error {
			keepImages(ctx, told)
			return nil
		})
	}
	if unverified(c) {
		group.Go(func() error {
			offerFingerprint(ctx, c.Proxmox.Endpoints, a.logger)
			return nil
		})
	}
	if err := group.Wait(); !errors.Is(err, errStopped) {
		return err
	}
	s := controller.Status()
	a.logger.Info("mayfly stopped", "runners", len(s.Runners), "reason", farewell(s))
	return nil
}

// newFigures makes what counts for /metrics.
func newFigures() *metrics.Recorder {
	v := currentVersion()
	return metrics.New(metrics.Build{Version: v.Version, Commit: v.Commit, Go: v.Go})
}

// errStopped says that the controller ended because it was told to.
var errStopped = errors.New("stopped")

// stopPatience is how long steps in flight may take to end after a signal. Most take seconds; one that is cut off loses
// nothing, the next start takes it up. It is well below systemd's TimeoutStopSec (90 s).
const stopPatience = 15 * time.Second

// stopWhenTold ends the controller when told ends. It returns early when ctx does.
func stopWhenTold(ctx, told context.Context, controller *fleet.Controller, drain bool, log *slog.Logger) error {
	select {
	case <-ctx.Done():
		return nil
	case <-told.Done():
	}
	if drain {
		log.Info("mayfly drains", "reason", "it takes no more jobs and ends when no runner is left; a second signal ends at once")
		controller.Drain()
		<-ctx.Done() // which comes when the controller has ended
		return nil
	}
	log.Info("mayfly stops", "reason", "steps in flight end first; a second signal ends at once")
	controller.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(stopPatience):
		return errStopped
	}
}

func farewell(s fleet.Status) string {
	if len(s.Runners) == 0 {
		return "no runner was alive"
	}
	return "runners stay as they are; the next start finds them"
}

// listenWeb opens the address of the pages (package web); nil for none.
func listenWeb(ctx context.Context, addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s for /healthz and /readyz: something listens there already, another mayfly perhaps; stop it, or choose another address with --listen or web.listen", addr)
	case err != nil:
		return nil, fmt.Errorf("listen for /healthz and /readyz: %w; choose another address with --listen or web.listen", err)
	}
	return l, nil
}

func address(l net.Listener) string {
	if l == nil {
		return "nowhere"
	}
	return l.Addr().String()
}
