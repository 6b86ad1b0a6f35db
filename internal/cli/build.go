package cli

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/demand"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
)

// fleetSpec is the part of the configuration that the controller follows. Timing is what `mayfly run` uses on a real
// cluster; a caller may shorten it.
func fleetSpec(c *config.Config) fleet.Spec {
	return fleet.Spec{
		Installation: c.Installation,
		Node:         c.Proxmox.Node,
		Nodes:        c.Proxmox.Nodes,
		Placement:    fleetPlacement(c.Placement),
		Token:        c.Proxmox.TokenID,
		ResourcePool: c.Proxmox.ResourcePool,
		VMIDs:        fleet.Range(c.VMIDs),
		MaxRunners:   c.MaxRunners,
		Pools:        c.Pools,
		PollInterval: c.PollInterval,
		Way:          fleet.Way(c.Handoff),
		Storage:      c.Proxmox.Storage,
		WebURL:       c.GitHub.WebURL(),
		Hosted:       c.GitHub.Hosted(),
		Timing:       fleet.DefaultTiming(),
	}
}

func fleetPlacement(p config.Placement) fleet.Placement {
	return fleet.Placement{
		Strategy: fleet.Strategy(p.Strategy), MemoryReserve: p.MemoryReserve, LinkedGrowth: p.LinkedGrowth, StorageReserve: p.StorageReserve,
		MemoryOvercommit: float64(p.MemoryPercent) / 100, CPUOvercommit: float64(p.CPUPercent) / 100,
		NodeTasks: p.NodeTasks, StorageTasks: p.StorageTasks, AntiAffinity: p.AntiAffinity, Weights: p.Weights,
	}
}

// clients speak to the two sides. They belong together: both are closed when the controller has ended.
type clients struct {
	pve *proxmox.Client
	gh  *github.Client
	// guarded says that a lease lets through what they change: while it does, no second dispatcher works.
	guarded bool
}

// newClients makes the clients that the configuration describes. It connects to nothing. An error is a mistake of the
// configuration that config itself can't see. features are what Proxmox's is for, if that isn't what mayfly check looks at anyway.
func newClients(c *config.Config, log *slog.Logger, features ...check.Feature) (clients, error) {
	return newWrappedClients(c, log, github.Options{}, nil, features...)
}

// newWrappedClients has something stand before the transport to Proxmox VE; pace has the same for GitHub.
func newWrappedClients(c *config.Config, log *slog.Logger, pace github.Options, wrap func(http.RoundTripper) http.RoundTripper, features ...check.Feature) (clients, error) {
	o := proxmoxOptions(c, log, features...)
	o.Wrap = wrap
	pve, errPVE := proxmox.New(o)
	pace.BaseURL, pace.Token, pace.Logger, pace.Version = c.GitHub.APIURL, c.GitHub.Token, log, currentVersion().Version
	if pace.Pace == 0 {
		pace.Pace = c.GitHub.Pace
	}
	gh, errGH := github.New(pace)
	if err := errors.Join(errPVE, errGH); err != nil {
		return clients{}, usageError{err}
	}
	return clients{pve: pve, gh: gh}, nil
}

// proxmoxOptions are how Proxmox is reached.
func proxmoxOptions(c *config.Config, log *slog.Logger, features ...check.Feature) proxmox.Options {
	tells := []string{"mayfly check"}
	for _, f := range features {
		tells = append(tells, "--for "+string(f))
	}
	return proxmox.Options{
		Check:              strings.Join(tells, " "),
		Endpoints:          c.Proxmox.Endpoints,
		TokenID:            c.Proxmox.TokenID,
		TokenSecret:        c.Proxmox.TokenSecret,
		Fingerprint:        c.Proxmox.Fingerprint,
		CAFile:             c.Proxmox.CAFile,
		InsecureSkipVerify: !c.Proxmox.VerifyTLS,
		Logger:             log,
	}
}

// close drops idle connections.
func (c clients) close() {
	c.pve.Close()
	c.gh.Close()
}

// newController puts the clients, a poll of the pools' targets and the hand-offs under a controller. seeders is nil where
// the configuration needs none.
func newController(spec fleet.Spec, c clients, exec handoff.AgentOptions, seeders map[fleet.Way]fleet.Seeder, log *slog.Logger, events func(fleet.Event), observer fleet.Observer) (*fleet.Controller, error) {
	return fleet.New(fleet.Options{
		Spec:     spec,
		Proxmox:  c.pve,
		GitHub:   c.gh,
		Demand:   demand.NewPoll(c.gh, spec.Targets(), log),
		Handoff:  handoff.NewAgent(c.pve, exec),
		Seeders:  seeders,
		Logger:   log,
		Version:  currentVersion().Version,
		Events:   events,
		Observer: observer,
		Alone:    c.guarded,
	})
}
