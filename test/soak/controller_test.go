//go:build soak

package soak

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/internal/demand"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

const (
	runners = 40
	// The VMIDs are away from the stand-in's decoys, and so few that each has been used before the first thousand is over:
	// the controller remembers when.
	firstVMID, lastVMID = 1000, 1399
)

// dispatcher is the controller with its clients, as `mayfly run` puts them together, and what it has told.
type dispatcher struct {
	controller *fleet.Controller
	pve        *proxmox.Client
	gh         *github.Client
	gone       atomic.Int64 // runners whose life is over
	stop       context.CancelFunc
	ended      chan error
}

func newDispatcher(t *testing.T, s *standIns, log io.Writer) *dispatcher {
	t.Helper()
	d := &dispatcher{ended: make(chan error, 1)}
	// At debug level, as somebody has it who looks for a leak.
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	target := runner.Target{Owner: "NREL", Repo: "EnergyPlus"}
	spec := fleet.Spec{
		Installation: "soak", Node: s.pve.Node, ResourcePool: s.pve.ResourcePool, Token: s.pve.TokenID,
		VMIDs: fleet.Range{Start: firstVMID, End: lastVMID}, MaxRunners: runners, PollInterval: 500 * time.Millisecond, Timing: timing(),
		Pools: []runner.Pool{{
			Name: "soak", Target: target, Labels: []string{"soak"}, GroupID: 1, NamePrefix: "soak", Template: "ubuntu-2204-runner-template",
			Max: runners, RunnerUser: "runner", BootTimeout: 5 * time.Minute, IdleTimeout: 10 * time.Minute, MaxJobDuration: time.Hour,
		}},
	}
	var err error
	if d.pve, err = proxmox.New(proxmox.Options{
		Endpoints: []string{s.pve.URL}, Fingerprint: s.pve.Fingerprint, TokenID: s.pve.TokenID,
		TokenSecret: runner.NewSecret(s.pve.TokenSecret), Logger: logger,
	}); err != nil {
		t.Fatal(err)
	}
	if d.gh, err = github.New(github.Options{
		BaseURL: s.gh.APIURL, Token: runner.NewSecret(s.gh.Token), Logger: logger, Pace: -1, Version: "soak",
	}); err != nil {
		t.Fatal(err)
	}
	d.controller, err = fleet.New(fleet.Options{
		Spec: spec, Proxmox: d.pve, GitHub: d.gh, Demand: demand.NewPoll(d.gh, spec.Targets(), logger),
		Handoff: handoff.NewAgent(d.pve, handoff.AgentOptions{ExecPoll: 20 * time.Millisecond}), Logger: logger, Version: "soak",
		Events: func(e fleet.Event) {
			if e.Kind == "runner" && e.State == runner.Gone {
				d.gone.Add(1)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	d.stop = stop
	go func() { d.ended <- d.controller.Run(ctx) }()
	return d
}

// close ends the controller and what belongs to it.
func (d *dispatcher) close() error {
	d.stop()
	err := <-d.ended
	d.pve.Close()
	d.gh.Close()
	return err
}

// timing is made for stand-ins in demo timing. Deadlines stay as they are.
func timing() fleet.Timing {
	t := fleet.DefaultTiming()
	t.Supply, t.SupplyIdle, t.Urgent, t.TaskPoll = 200*time.Millisecond, 500*time.Millisecond, 150*time.Millisecond, 50*time.Millisecond
	t.FirstProbe, t.ProbeRetry = 300*time.Millisecond, 100*time.Millisecond
	t.BackoffMin, t.BackoffMax = 200*time.Millisecond, 5*time.Second
	t.Cooldown = 2 * time.Second // four broadcasts of demo timing
	return t
}
