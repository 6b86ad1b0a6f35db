package up

import (
	"context"
	"strings"
	"testing"
	"time"

	"mayfly/internal/demand"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

// bench is a watch with real clients between the two stand-ins, and a dispatcher for whoever wants one, in virtual time.
type bench struct {
	t   *testing.T
	gh  *gh.Server
	pve *pve.Server
	job *FirstJob
	out strings.Builder

	both  func() (*proxmox.Client, *github.Client)
	spec  fleet.Spec
	token string // GitHub's, for both
}

func newBench(t *testing.T) *bench {
	t.Helper()
	time.Sleep(time.Until(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC))) // bubbles begin in the year 2000
	b := &bench{t: t, gh: gh.New(gh.Options{AssignDelay: time.Second})}
	guests := world.NewGuests(world.GuestOptions{Boot: 12 * time.Second, Shutdown: 2 * time.Second, Transport: b.gh.RoundTripper()})
	b.pve = pve.New(pve.Options{Engine: guests})
	t.Cleanup(func() {
		b.pve.Close()
		guests.Close()
		b.gh.Close()
	})
	info := b.pve.Info()
	b.token = b.gh.Info().Token
	b.spec = fleet.Spec{
		Installation: "bench", Node: info.Node, Token: info.TokenID, ResourcePool: info.ResourcePool,
		VMIDs: fleet.Range{Start: 300, End: 319}, MaxRunners: 4, PollInterval: 15 * time.Second,
		Pools: []runner.Pool{{
			Name: "ep", Target: runner.Target{Owner: "NREL", Repo: "EnergyPlus"}, Labels: []string{"linux", "energyplus"}, GroupID: 1,
			NamePrefix: "ep", Template: "ubuntu-2204-runner-template", Max: 4, RunnerUser: "runner",
			BootTimeout: 5 * time.Minute, IdleTimeout: 10 * time.Minute, MaxJobDuration: 6 * time.Hour,
		}},
	}
	b.both = func() (*proxmox.Client, *github.Client) {
		p, err := proxmox.New(proxmox.Options{
			Endpoints: []string{"https://pve1:8006"}, TokenID: info.TokenID, TokenSecret: runner.NewSecret(info.TokenSecret), Transport: b.pve.RoundTripper(),
		})
		if err != nil {
			t.Fatal(err)
		}
		g, err := github.New(github.Options{BaseURL: "https://github.example/api/v3", Token: runner.NewSecret(b.token), Transport: b.gh.RoundTripper()})
		if err != nil {
			t.Fatal(err)
		}
		return p, g
	}
	p, g := b.both()
	b.job = &FirstJob{GitHub: g, Starter: g, Proxmox: p, Spec: b.spec, Log: "where it runs", Out: NewPrinter(&b.out)}
	return b
}

// dispatch starts a dispatcher, and ends it with the test.
func (b *bench) dispatch() {
	b.t.Helper()
	p, g := b.both()
	c, err := fleet.New(fleet.Options{
		Spec: b.spec, Proxmox: p, GitHub: g, Demand: demand.NewPoll(g, b.spec.Targets(), nil), Handoff: handoff.NewAgent(p, handoff.AgentOptions{}), Version: "test",
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("dispatcher: %v", err)
		}
	})
}

// queue queues a job that the pool serves, after a while.
func (b *bench) queue(after time.Duration, change func(*gh.JobSpec)) {
	spec := gh.JobSpec{Name: "build", Labels: []string{"self-hosted", "energyplus"}, Duration: 90 * time.Second}
	if change != nil {
		change(&spec)
	}
	time.AfterFunc(after, func() { b.gh.AddJobs(spec) })
}

// watch runs the step.
func (b *bench) watch(ctx context.Context) error {
	return Run(ctx, []Step{b.job.Step()}, "", b.job.Out)
}

// says wants words in what was printed, in this order.
func (b *bench) says(words ...string) {
	b.t.Helper()
	rest := strings.Join(strings.Fields(b.out.String()), " ")
	for _, w := range words {
		_, after, found := strings.Cut(rest, w)
		if !found {
			b.t.Errorf("no %q (in this order) in:\n%s", w, b.out.String())
			return
		}
		rest = after
	}
}
