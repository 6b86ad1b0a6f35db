package cli

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mayfly/internal/config"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/lease"
	"mayfly/internal/metrics"
	"mayfly/internal/runner"
	"mayfly/internal/web"
)

// serveInTurn is serve for one of several dispatchers: it stands by until it has the installation's lease, keeps the fleet
// while it has that, and stands by again when it has lost it.
func (a *app) serveInTurn(ctx context.Context, c *config.Config, how serving) error {
	own, err := newClients(c, a.logger) // no guard stands before these
	if err != nil {
		return err
	}
	defer own.close()
	teller, err := a.teller(own.pve)
	if err != nil {
		return err
	}
	keeper, err := lease.New(lease.Options{
		Store: own.pve, Mapping: c.Lease.Mapping, Installation: c.Installation, Process: runner.NewProcess(time.Now()).ID,
		Name: hostname(), TTL: c.Lease.TTL, Logger: a.logger,
	})
	if err != nil {
		return usageError{err}
	}
	err = a.takeTurns(ctx, c, keeper, teller, how)
	teller.confess(ctx, err)
	return err
}

// takeTurns is serveInTurn with the lease.
func (a *app) takeTurns(ctx context.Context, c *config.Config, keeper *lease.Keeper, teller *teller, how serving) error {
	l, err := listenWeb(ctx, c.Web.Listen)
	if err != nil {
		return err
	}
	s := &stage{keeper: keeper, standing: inForce(c, c, how.files)}
	figures := newFigures()
	figures.Watch(metrics.Sources{Status: s.Status})
	a.logger.Info("mayfly starts", "version", currentVersion().Version, "installation", c.Installation, "node", c.Proxmox.Node,
		"lease", c.Lease.Mapping, "ttl", c.Lease.TTL, "listen", address(l))
	told := ctx
	group, ctx := errgroup.WithContext(context.WithoutCancel(told))
	group.Go(func() error {
		for told.Err() == nil {
			if err := keeper.Hold(told, func(told context.Context, t *lease.Term) error {
				return a.serveTerm(told, c, t, s, figures, how)
			}); err != nil && !errors.Is(err, lease.ErrLost) {
				return err
			}
		}
		return errStopped // ends the others, too
	})
	if l != nil {
		group.Go(func() error { return web.Serve(ctx, l, s, figures.Handler(a.logger), a.logger) })
	}
	group.Go(func() error {
		h := herald{fleet: s, log: a.logger, notify: systemd(a.logger)}
		h.run(ctx, told)
		return nil
	})
	if teller != nil {
		group.Go(func() error {
			teller.tell(ctx, content{s})
			return nil
		})
	}
	if err := group.Wait(); !errors.Is(err, errStopped) {
		return err
	}
	a.logger.Info("mayfly has ended", "lease", c.Lease.Mapping)
	return nil
}

// serveTerm keeps the fleet for one term. The clients are the term's own: what an earlier term's steps still wanted to do
// can't get through with the next one's right.
func (a *app) serveTerm(ctx context.Context, c *config.Config, t *lease.Term, s *stage, figures *metrics.Recorder, how serving) error {
	guarded := func(side string) func(http.RoundTripper) http.RoundTripper {
		return func(next http.RoundTripper) http.RoundTripper { return t.Guard(figures.Transport(side)(next)) } // what isn't sent isn't counted
	}
	both, err := newWrappedClients(c, a.logger, github.Options{Wrap: guarded(metrics.GitHub)}, guarded(metrics.Proxmox))
	if err != nil {
		return err
	}
	both.guarded = true
	defer both.close()
	made := how.made
	how.term, how.made = t, func(controller *fleet.Controller) {
		s.controller.Store(controller)
		if made != nil {
			made(controller)
		}
	}
	how.following = func(r *reloader) { s.reloader.Store(r) }
	defer func() {
		s.controller.Store(nil)
		s.reloader.Store(nil)
		figures.Watch(metrics.Sources{Status: s.Status})
	}()
	return a.serveFleet(ctx, c, both, nil, figures, how)
}

// stage shows the fleet while this process keeps it, and else why it stands by. It is what /readyz, the log and systemd
// hear of.
type stage struct {
	keeper     *lease.Keeper
	controller atomic.Pointer[fleet.Controller]
	reloader   atomic.Pointer[reloader]
	standing   *configInForce // what each term begins with
}

// Configuration implements [web.Configured].
func (s *stage) Configuration() any {
	if r := s.reloader.Load(); r != nil {
		return r.Configuration()
	}
	return s.standing
}

// Status implements [web.Fleet].
func (s *stage) Status() fleet.Status {
	l := s.keeper.Status()
	if r := s.reloader.Load(); r != nil && l.Held {
		return r.Status()
	}
	if controller := s.controller.Load(); controller != nil && l.Held {
		return controller.Status()
	}
	if l.At.IsZero() {
		return fleet.Status{Reasons: []string{l.Reason}}
	}
	proxmox := fleet.Health{OK: l.Error == "", Error: l.Error, Since: l.Since}
	if proxmox.OK {
		proxmox.LastOK = l.At
	}
	reason := l.Reason
	if reason == "" {
		reason = "the lease was taken just now, the fleet is looked at next"
	}
	return fleet.Standby(l.At, reason, proxmox)
}

// content is a stage for whoever only wants to know whether the process is as it should be: one that stands by is.
type content struct{ *stage }

// Status implements [web.Fleet].
func (c content) Status() fleet.Status {
	s := c.stage.Status()
	s.Ready = s.Ready || s.Standby != "" && s.Proxmox.OK
	return s
}

// hostname is this machine's name, for people; "" where it has none.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
