package gc_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mayfly/internal/demand"
	"mayfly/internal/fleet"
	"mayfly/internal/gc"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

// stage is a dispatcher and a collector between the two stand-ins, in virtual time.
type stage struct {
	t     *testing.T
	gh    *gh.Server
	pve   *pve.Server
	disks *leaky
	spec  fleet.Spec
	// clients of the dispatcher and the collector, with the same tokens.
	pveClient *proxmox.Client
	ghClient  *github.Client
	stop      context.CancelFunc
	ended     chan error
	// refuses are repositories that GitHub says aren't there.
	refuses []runner.Target
}

// second is a repository beside the one that the pool of newStage serves.
var second = runner.Target{Owner: "NREL", Repo: "OpenStudio"}

// refusing is the way to GitHub.
type refusing struct{ *stage }

func (r refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	for _, t := range r.refuses {
		if strings.Contains(req.URL.Path, "/repos/"+t.String()+"/") {
			return &http.Response{Status: "404 Not Found", StatusCode: http.StatusNotFound, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
		}
	}
	return r.gh.RoundTripper().RoundTrip(req)
}

// leaky is an engine whose disks can't be removed while stuck.
type leaky struct {
	pve.Engine
	stuck atomic.Bool
}

func (l *leaky) Destroy(ctx context.Context, vmid int) error {
	if err := l.Engine.Destroy(ctx, vmid); err != nil {
		return err
	}
	if l.stuck.Load() {
		return errors.New("lvremove: contains a filesystem in use")
	}
	return nil
}

func newStage(t *testing.T, tokens ...pve.Token) *stage {
	t.Helper()
	time.Sleep(time.Until(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))) // bubbles begin in the year 2000
	s := &stage{t: t, gh: gh.New(gh.Options{Repositories: []gh.RepositorySpec{{Name: second.String()}}})}
	guests := world.NewGuests(world.GuestOptions{Boot: 12 * time.Second, Shutdown: 2 * time.Second, Transport: s.gh.RoundTripper()})
	s.disks = &leaky{Engine: guests}
	s.pve = pve.New(pve.Options{Engine: s.disks, Tokens: tokens})
	id, secret := s.pve.Info().TokenID, s.pve.Info().TokenSecret
	if len(tokens) > 0 {
		id, secret = tokens[0].ID, tokens[0].Secret
	}
	s.spec = fleet.Spec{
		Installation: "stage", Node: s.pve.Info().Node, Token: id, ResourcePool: "ci", VMIDs: fleet.Range{Start: 200, End: 299}, MaxRunners: 4,
		PollInterval: 15 * time.Second,
		Pools: []runner.Pool{{
			Name: "ep", Target: runner.Target{Owner: "NREL", Repo: "EnergyPlus"}, Labels: []string{"energyplus", "linux", "x64"}, GroupID: 1,
			NamePrefix: "energyplus-runner", Template: "ubuntu-2204-runner-template", Max: 4, RunnerUser: "runner",
			BootTimeout: 5 * time.Minute, IdleTimeout: 10 * time.Minute, MaxJobDuration: 6 * time.Hour,
		}},
	}
	var err error
	s.pveClient, err = proxmox.New(proxmox.Options{
		Endpoints: []string{"https://pve1:8006"}, TokenID: id, TokenSecret: runner.NewSecret(secret), Transport: s.pve.RoundTripper(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.ghClient, err = github.New(github.Options{
		BaseURL: "https://github.example/api/v3", Token: runner.NewSecret(s.gh.Info().Token), Transport: refusing{s},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.halt()
		s.pveClient.Close()
		s.ghClient.Close()
		s.pve.Close()
		guests.Close()
		s.gh.Close()
	})
	return s
}

// start gives life to a dispatcher.
func (s *stage) start() {
	s.t.Helper()
	c, err := fleet.New(fleet.Options{
		Spec: s.spec, Proxmox: s.pveClient, GitHub: s.ghClient, Demand: demand.NewPoll(s.ghClient, s.spec.Targets(), nil),
		Handoff: handoff.NewAgent(s.pveClient, handoff.AgentOptions{}), Logger: slog.New(slog.DiscardHandler), Version: "test",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	s.stop, s.ended = cancel, ended
	go func() { ended <- c.Run(ctx) }()
}

// halt ends it as a crash does.
func (s *stage) halt() {
	if s.stop == nil {
		return
	}
	s.stop()
	if err := <-s.ended; err != nil {
		s.t.Errorf("controller ended with %v", err)
	}
	s.stop = nil
}

func (s *stage) queue(count int, lasting time.Duration) {
	s.queueAt(s.spec.Pools[0].Target, count, lasting)
}

func (s *stage) queueAt(t runner.Target, count int, lasting time.Duration) {
	s.gh.AddJobs(gh.JobSpec{Count: count, Labels: []string{"self-hosted", "Linux", "energyplus"}, Duration: lasting, Repository: t.String()})
}

// collect cleans up once.
func (s *stage) collect(r gc.Request, files ...gc.Files) []gc.Finding {
	s.t.Helper()
	list, err := s.tryCollect(r, files...)
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

func (s *stage) tryCollect(r gc.Request, files ...gc.Files) ([]gc.Finding, error) {
	return gc.New(gc.Options{
		Spec: s.spec, Proxmox: s.pveClient, GitHub: s.ghClient, Guests: handoff.NewAgent(s.pveClient, handoff.AgentOptions{}), Files: files,
	}).Run(s.t.Context(), r)
}

// of are the findings of a kind that came to that.
func of(list []gc.Finding, kind gc.Kind, o gc.Outcome) []gc.Finding {
	return slices.DeleteFunc(slices.Clone(list), func(f gc.Finding) bool { return f.Kind != kind || f.Outcome != o })
}

// register makes a registration as somebody else would.
func (s *stage) register(name string, labels ...string) {
	s.t.Helper()
	s.registerAt(s.spec.Pools[0].Target, name, labels...)
}

func (s *stage) registerAt(t runner.Target, name string, labels ...string) {
	s.t.Helper()
	time.Sleep(2 * time.Second) // the client's own pace
	if _, err := s.ghClient.CreateJITConfig(s.t.Context(), t, name, labels, 1); err != nil {
		s.t.Fatal(err)
	}
}

// ours are the VMs that dispatchers made and that are there.
func (s *stage) ours() []pve.VMState {
	return slices.DeleteFunc(s.pve.VMs(), func(v pve.VMState) bool {
		return v.Decoy != "" || v.Template || v.DestroyedAt != nil
	})
}

// untouched checks that nothing of anybody else's was changed.
func (s *stage) untouched() {
	s.t.Helper()
	for _, v := range s.pve.VMs() {
		if v.DigestNow != v.DigestStart {
			s.t.Errorf("VM %d (decoy %q, template %v) was touched", v.VMID, v.Decoy, v.Template)
		}
	}
}

// working is how many jobs run.
func (s *stage) working() int {
	n := 0
	for _, j := range s.gh.Jobs() {
		if j.Status == "in_progress" {
			n++
		}
	}
	return n
}

// wait waits for something to become true.
func (s *stage) wait(limit time.Duration, what string, is func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(limit); !is(); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			s.t.Fatalf("not within %s: %s", limit, what)
		}
	}
}
