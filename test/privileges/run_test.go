package privileges

import (
	"context"
	"slices"
	"testing"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/demand"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/lease"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/runners"
	"mayfly/test/roles"
)

// Patience with a job, which takes a minute and a half with its clone and boot, and with the end of its runner. A runner that
// can't be made is tried again for as long.
const (
	jobPatience = 3 * time.Minute
	endPatience = 2 * time.Minute
)

// run is mayfly run with a hand-off: it works when a job is done and nothing of its runner is left. sized pools set cores,
// memory and disk.
func run(way fleet.Way, sized bool) act {
	return func(t *testing.T, release int, needs, except []roles.Need) outcome {
		o := pve.Options{CloudInitDrive: way == fleet.WaySnippet, TemplateAgentOff: way == fleet.WayISO}
		dir := t.TempDir()
		if way == fleet.WaySnippet {
			o.SnippetsDir = dir
		}
		s := onStage(t, release, needs, except, o)
		defer s.close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		return s.outcome(s.serve(ctx, t, way, sized, dir))
	}
}

// inTurn is mayfly run with a lease: it works when it gets that, and then as run does.
func inTurn(t *testing.T, release int, needs, except []roles.Need) outcome {
	s := onStage(t, release, needs, except, pve.Options{Lease: "mayfly"})
	defer s.close()
	keeper, err := lease.New(lease.Options{Store: s.client(), Mapping: "mayfly", Installation: "exactly", Process: "p", Logger: s.logger()})
	if err != nil {
		t.Fatal(err)
	}
	worked := false
	ctx, cancel := context.WithTimeout(t.Context(), 2*lease.DefaultTTL+jobPatience+endPatience)
	defer cancel()
	s.said.add(keeper.Hold(ctx, func(ctx context.Context, _ *lease.Term) error {
		worked = s.serve(ctx, t, fleet.WayAgent, false, "")
		return nil
	}))
	return s.outcome(worked)
}

// serve runs a controller until a job is done and its runner is gone, and reports whether that came.
func (s *stage) serve(ctx context.Context, t *testing.T, way fleet.Way, sized bool, dir string) bool {
	client := s.client()
	hub, err := github.New(github.Options{
		BaseURL: "https://github.example/api/v3", Token: runner.NewSecret(s.gh.Info().Token), Transport: s.gh.RoundTripper(),
	})
	if err != nil {
		t.Fatal(err)
	}
	spec := runSpec(way, sized)
	controller, err := fleet.New(fleet.Options{
		Spec: spec, Proxmox: client, GitHub: hub, Demand: demand.NewPoll(hub, spec.Targets(), nil),
		Handoff: handoff.NewAgent(client, handoff.AgentOptions{}), Seeders: seeders(t, way, client, s, dir), Logger: s.logger(), Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		err := controller.Run(ctx)
		cancel()
		ended <- err
	}()
	s.gh.AddJobs(gh.JobSpec{Count: 1, Labels: []string{"self-hosted", "linux", "energyplus"}, Duration: 30 * time.Second})
	done := func() bool { return s.gh.State().Jobs[0].Status == "completed" }
	empty := func() bool {
		return !slices.ContainsFunc(s.pve.State().VMs, func(v pve.VMState) bool { return v.Decoy == "" && !v.Template && v.Status != "destroyed" })
	}
	worked := waitFor(ctx, jobPatience, done) && waitFor(ctx, endPatience, empty) && s.gh.State().Jobs[0].Conclusion == "success"
	cancel()
	s.said.add(<-ended)
	return worked
}

func runSpec(way fleet.Way, sized bool) fleet.Spec {
	pool := runner.Pool{
		Name: "ep", Target: runner.Target{Owner: "NREL", Repo: "EnergyPlus"}, Labels: []string{"energyplus", "linux", "x64"}, GroupID: 1,
		NamePrefix: "energyplus-runner", Template: "ubuntu-2204-runner-template", Max: 2, RunnerUser: "runner",
		BootTimeout: 2 * time.Minute, IdleTimeout: 10 * time.Minute, MaxJobDuration: time.Hour,
	}
	if sized {
		pool.Cores, pool.Memory, pool.Disk = 1, 2*runner.GiB, 16*runner.GiB
	}
	return fleet.Spec{
		Installation: "exactly", Node: node, Token: tokenID, ResourcePool: "ci", VMIDs: fleet.Range{Start: 300, End: 319}, MaxRunners: 2,
		Pools: []runner.Pool{pool}, PollInterval: 15 * time.Second, Way: way, Storage: "local", WebURL: "https://github.example",
	}
}

// seeders are what the hand-off needs, nil for one by the agent.
func seeders(t *testing.T, way fleet.Way, client *proxmox.Client, s *stage, dir string) map[fleet.Way]fleet.Seeder {
	t.Helper()
	template, err := cloudinit.Parse("test", runners.UserDataTemplate)
	if err != nil {
		t.Fatal(err)
	}
	var seeder fleet.Seeder
	switch way {
	case fleet.WayISO:
		seeder, err = handoff.NewISO(client, handoff.ISOOptions{Storage: "local", Node: node, Installation: "exactly", Template: template, Logger: s.logger()})
	case fleet.WaySnippet:
		seeder, err = handoff.NewSnippet(handoff.SnippetOptions{Dir: dir, Storage: "local", Installation: "exactly", Template: template})
	default:
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return map[fleet.Way]fleet.Seeder{way: seeder}
}
