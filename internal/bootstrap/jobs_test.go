package bootstrap_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/bootstrap"
	"mayfly/internal/demand"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	guests "mayfly/internal/sim/world"
)

// fleetWorld is a world whose containers run real controllers between both stand-ins.
type fleetWorld struct {
	*world
	gh *gh.Server
	// deaf are VMIDs of containers that can't reach GitHub.
	deaf map[int]bool

	lock  sync.Mutex
	lives []*life // of those that hear GitHub
	log   bytes.Buffer
}

// life is a dispatcher's, from its beginning to its end, which is zero while it lives.
type life struct{ begin, end time.Time }

// Write implements [io.Writer] for the dispatchers' logs.
func (w *fleetWorld) Write(p []byte) (int, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.log.Write(p)
}

// newFleetWorld makes one in a bubble.
func newFleetWorld(t *testing.T) *fleetWorld {
	t.Helper()
	time.Sleep(time.Until(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC))) // bubbles begin in the year 2000
	w := &fleetWorld{gh: gh.New(gh.Options{}), deaf: map[int]bool{}}
	machines := guests.NewGuests(guests.GuestOptions{Boot: 12 * time.Second, Shutdown: 2 * time.Second, Transport: w.gh.RoundTripper()})
	w.world = newWorld(t, pve.Options{Engine: machines})
	w.inside = w.dispatch
	t.Cleanup(func() {
		w.pve.Close()
		machines.Close()
		w.gh.Close()
		if t.Failed() {
			w.lock.Lock()
			defer w.lock.Unlock()
			t.Log("dispatchers' log:\n" + w.log.String())
		}
	})
	return w
}

// dispatch is what the program in a container does: it runs a controller as its configuration and its secrets say until
// the container goes off, which ends it at whatever it is doing, and tells its word.
func (w *fleetWorld) dispatch(ctx context.Context, _ *world, c *pve.Container) {
	select {
	case <-time.After(15 * time.Second): // Debian boots
	case <-ctx.Done():
		return
	}
	log := slog.New(slog.NewTextHandler(w, nil)).With("vmid", c.VMID)
	teller := bootstrap.Teller{API: clientOf(w.t, w.pve), VMID: c.VMID, Log: log}
	controller, err := w.controller(c, log)
	if err != nil {
		w.t.Error(err)
		return
	}
	mine := &life{begin: time.Now()}
	if w.lock.Lock(); !w.deaf[c.VMID] {
		w.lives = append(w.lives, mine)
	}
	w.lock.Unlock()
	var group sync.WaitGroup
	group.Go(func() {
		teller.Run(ctx, func() bootstrap.Word {
			s := controller.Status()
			return bootstrap.Word{Ready: s.Ready, Reason: strings.Join(s.Reasons, "; ")}
		})
	})
	if err := controller.Run(ctx); err != nil {
		w.t.Error(err)
	}
	group.Wait()
	w.lock.Lock()
	defer w.lock.Unlock()
	mine.end = time.Now()
}

// controller is the fleet's, with what the container holds.
func (w *fleetWorld) controller(c *pve.Container, log *slog.Logger) (*fleet.Controller, error) {
	w.mu.Lock()
	secrets := w.opened[c.VMID]
	w.mu.Unlock()
	most := 0
	if _, err := fmt.Sscanf(string(readIn(w.t, c, "./etc/mayfly/mayfly.yaml")), "max_runners: %d", &most); err != nil {
		return nil, err
	}
	token := secrets[bootstrap.GitHubToken]
	api := clientOf(w.t, w.pve)
	transport := w.gh.RoundTripper()
	w.lock.Lock()
	if w.deaf[c.VMID] {
		transport = web{}
	}
	w.lock.Unlock()
	client, err := github.New(github.Options{BaseURL: "https://github.example/api/v3", Token: token, Transport: transport})
	if err != nil {
		return nil, err
	}
	spec := fleet.Spec{
		Installation: "ep", Node: "pve1", Token: w.pve.Info().TokenID, ResourcePool: "ci", VMIDs: fleet.Range{Start: 200, End: 299}, MaxRunners: most,
		PollInterval: 15 * time.Second,
		Pools: []runner.Pool{{
			Name: "ep", Target: runner.Target{Owner: "NREL", Repo: "EnergyPlus"}, Labels: []string{"energyplus", "linux", "x64"}, GroupID: 1,
			NamePrefix: "energyplus-runner", Template: "ubuntu-2204-runner-template", Max: most, RunnerUser: "runner",
			BootTimeout: 5 * time.Minute, IdleTimeout: 10 * time.Minute, MaxJobDuration: 6 * time.Hour,
		}},
	}
	return fleet.New(fleet.Options{
		Spec: spec, Proxmox: api, GitHub: client, Demand: demand.NewPoll(client, spec.Targets(), nil),
		Handoff: handoff.NewAgent(api, handoff.AgentOptions{}), Logger: log, Version: "test",
	})
}

// jobSpec asks for a dispatcher of a version that has at most so many runners.
func (w *fleetWorld) jobSpec(version string, most int) bootstrap.Spec {
	s := w.spec()
	s.Version, s.Config = version, fmt.Appendf(nil, "max_runners: %d\n", most)
	s.Secrets[bootstrap.GitHubToken] = runner.NewSecret(w.gh.Info().Token)
	return s
}

// serveJobs has jobs come all the time, does something meanwhile, and waits until all are over.
func (w *fleetWorld) serveJobs(meanwhile func()) (longestWait time.Duration) {
	w.t.Helper()
	const jobs, every, lasting = 60, 20 * time.Second, 80 * time.Second
	w.mustRun(w.jobSpec("1.0.0", 8))
	came := make(chan struct{})
	go func() {
		defer close(came)
		for range jobs {
			w.gh.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "Linux", "energyplus"}, Duration: lasting})
			time.Sleep(every)
		}
	}()
	time.Sleep(3 * time.Minute)
	meanwhile()
	<-came
	for deadline := time.Now().Add(30 * time.Minute); w.unfinished() > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Second)
	}
	return w.judge(jobs)
}

// TestNoJobIsLostWhileItsDispatcherIsUpgradedReconfiguredAndRolledBack demands that each job runs once and succeeds, and
// that none waits longer than the disturbances take on top of what it waits without any.
func TestNoJobIsLostWhileItsDispatcherIsUpgradedReconfiguredAndRolledBack(t *testing.T) {
	var calm, longestStep time.Duration
	synctest.Test(t, func(t *testing.T) { calm = newFleetWorld(t).serveJobs(func() {}) })
	synctest.Test(t, func(t *testing.T) {
		w := newFleetWorld(t)
		waited := w.serveJobs(func() {
			for _, step := range []struct {
				what string
				spec bootstrap.Spec
				deaf bool // the new dispatcher can't reach GitHub
			}{
				{what: "upgrade", spec: w.jobSpec("1.1.0", 8)},
				{what: "reconfigure", spec: w.jobSpec("1.1.0", 10)},
				{what: "roll-back", spec: w.jobSpec("1.2.0", 10), deaf: true},
			} {
				began, running := time.Now(), w.running()
				w.hear(step.deaf)
				_, err := w.run(t.Context(), step.spec)
				if (err != nil) != step.deaf || step.deaf && !strings.Contains(err.Error(), "it can't start: ") {
					t.Errorf("%s: %v", step.what, err)
				}
				took := time.Since(began)
				longestStep = max(longestStep, took)
				t.Logf("%s: %d jobs ran when it began; it took %s: %v", step.what, running, took.Round(time.Second), err)
				if running == 0 {
					t.Errorf("%s: no job ran", step.what)
				}
				w.serving()
				time.Sleep(2 * time.Minute)
			}
		})
		if waited > calm+longestStep {
			t.Errorf("a job waited %s, undisturbed %s, and the longest disturbance was %s", waited, calm, longestStep)
		}
	})
}

// hear has dispatchers of containers to come not hear GitHub, or hear it.
func (w *fleetWorld) hear(deaf bool) {
	all, _ := w.containers()
	w.lock.Lock()
	defer w.lock.Unlock()
	w.deaf = map[int]bool{100: deaf, 101: deaf}
	delete(w.deaf, all[0])
}

// running is how many jobs run; unfinished how many aren't over.
func (w *fleetWorld) running() (n int) {
	return w.count(func(j gh.JobState) bool { return j.Status == "in_progress" })
}

func (w *fleetWorld) unfinished() int {
	return w.count(func(j gh.JobState) bool { return j.Status != "completed" })
}

func (w *fleetWorld) count(is func(gh.JobState) bool) (n int) {
	for _, j := range w.gh.State().Jobs {
		if is(j) {
			n++
		}
	}
	return n
}

// judge counts jobs that were lost, and tells how long they waited and how long there was no dispatcher.
func (w *fleetWorld) judge(jobs int) (longest time.Duration) {
	w.t.Helper()
	lost, twice := 0, 0
	for _, j := range w.gh.State().Jobs {
		if j.Conclusion != "success" {
			lost++
			w.t.Errorf("job %d: %s %s: %s", j.ID, j.Status, j.Conclusion, j.Reason)
		}
		if j.Starts != 1 {
			twice++
			w.t.Errorf("job %d was started %d times", j.ID, j.Starts)
		}
		longest = max(longest, j.StartedAt.Sub(j.CreatedAt))
	}
	if n := w.count(func(gh.JobState) bool { return true }); n != jobs {
		w.t.Errorf("%d jobs, want %d", n, jobs)
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	var gaps []time.Duration
	for i := 1; i < len(w.lives); i++ {
		gap := w.lives[i].begin.Sub(w.lives[i-1].end)
		if gap < 0 {
			w.t.Errorf("two dispatchers at one time: %+v and %+v", *w.lives[i-1], *w.lives[i])
		}
		gaps = append(gaps, gap.Round(time.Second))
	}
	w.t.Logf("%d jobs: %d lost, %d started twice; the longest wait was %s; without a dispatcher for %v", jobs, lost, twice, longest.Round(time.Second), gaps)
	return longest
}
