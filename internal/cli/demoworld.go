package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"mayfly/internal/config"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/metrics"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/pve/qemu"
)

// demoWorld is both stand-ins with their machines, each on a loopback port of its own.
type demoWorld struct {
	pve     *pve.Server
	gh      *gh.Server
	guests  guests
	serving sync.WaitGroup
}

// newDemoWorld starts the stand-ins. close ends them.
func newDemoWorld(ctx context.Context, seed uint64, image string, log *slog.Logger) (*demoWorld, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for GitHub stand-in: %w", err)
	}
	github := gh.Options{
		Seed: seed, AssignDelay: demoAssignDelay, Logger: log,
		// The demo polls thirty times as often as one would poll GitHub, for as long as it is left running.
		RateLimit: 1 << 30,
	}
	o := pve.Options{Seed: seed, Timing: pve.DemoTiming(), Logger: log}
	if image != "" {
		github.RunnerURL = qemu.GuestGitHubURL
		o.Timing = pve.DefaultTiming() // real guests take real time
	}
	w := &demoWorld{}
	w.guests, err = newGuests(ctx, guestOptions{seed: seed, timing: timingDemo, image: image, github: l.Addr().String(), log: log})
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	o.Engine = w.guests
	w.gh, w.pve = gh.New(github), pve.New(o)
	w.gh.SetAPIURL("http://" + l.Addr().String())
	w.serving.Go(func() {
		if err := w.gh.Serve(l); err != nil {
			log.Error("stand-in stopped", "name", "GitHub", "reason", err)
		}
	})
	if _, err := w.pve.Listen(); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// close ends the stand-ins and cuts the power of what still runs.
func (w *demoWorld) close() {
	w.gh.Close()
	w.pve.Close()
	w.guests.Close()
	w.serving.Wait()
}

// environment is what a user would put into dispatcher.env to reach the stand-ins.
func (w *demoWorld) environment(most int) []string {
	p, g := w.pve.Info(), w.gh.Info()
	return []string{
		"PROXMOX_URL=" + p.URL, "PROXMOX_FINGERPRINT=" + p.Fingerprint, "PROXMOX_NODE=" + p.Node, "PROXMOX_POOL=" + p.ResourcePool,
		"PROXMOX_TOKEN_ID=" + p.TokenID, "PROXMOX_TOKEN_SECRET=" + p.TokenSecret,
		"GITHUB_API_URL=" + g.APIURL, "GITHUB_TOKEN=" + g.Token, "MAX_TOTAL_RUNNERS=" + strconv.Itoa(most),
	}
}

// demoController makes the controller as `mayfly run` does, from variables alone, and then makes it impatient.
func demoController(w *demoWorld, most int, realVMs bool, log *slog.Logger, events func(fleet.Event), figures *metrics.Recorder) (*fleet.Controller, clients, error) {
	c, _, err := config.Load(config.LoadOptions{Env: w.environment(most)})
	if err != nil {
		return nil, clients{}, fmt.Errorf("configure demo: %w", err)
	}
	both, err := newWrappedClients(c, log, github.Options{Pace: demoPace, Wrap: figures.Transport(metrics.GitHub)}, figures.Transport(metrics.Proxmox))
	if err != nil {
		return nil, clients{}, err
	}
	spec := fleetSpec(c)
	spec.PollInterval, spec.Timing = demoPoll, demoTiming(realVMs)
	controller, err := newController(spec, both, handoff.AgentOptions{ExecPoll: demoExecPoll}, nil, log, events, figures)
	if err != nil {
		both.close()
		return nil, clients{}, err
	}
	figures.Watch(metrics.Sources{Status: controller.Status, Budget: both.gh.Budget})
	return controller, both, nil
}

// The pace of the demo: the stand-ins are about twenty times as fast as the real servers, and nobody else uses them.
const (
	demoPoll     = 500 * time.Millisecond
	demoPace     = 10 * time.Millisecond
	demoExecPoll = 20 * time.Millisecond
)

// demoTiming is the controller's timing against stand-ins in demo timing. Deadlines stay generous: the machine may be
// slow.
func demoTiming(realVMs bool) fleet.Timing {
	t := fleet.DefaultTiming()
	t.Supply, t.SupplyIdle, t.Urgent, t.TaskPoll = 200*time.Millisecond, 500*time.Millisecond, 150*time.Millisecond, 50*time.Millisecond
	t.FirstProbe, t.ProbeRetry = 300*time.Millisecond, 100*time.Millisecond
	t.BackoffMin, t.BackoffMax = 200*time.Millisecond, 5*time.Second
	t.GoneConfirm, t.OrphanGrace, t.Reread = 10*time.Second, 10*time.Second, 10*time.Second
	t.Cooldown = 2 * time.Second // four broadcasts of demo timing
	if realVMs {
		t.FirstProbe, t.ProbeRetry, t.Cooldown = time.Second, 500*time.Millisecond, 15*time.Second
		t.GoneConfirm = fleet.DefaultTiming().GoneConfirm
	}
	return t
}
