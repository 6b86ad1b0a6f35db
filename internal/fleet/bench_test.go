package fleet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
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

// bench is a controller with its real clients between the two stand-ins, in virtual time: everything is made inside
// a synctest bubble.
type bench struct {
	t        *testing.T
	gh       *gh.Server
	pve      *pve.Server
	guests   *world.Guests
	spec     fleet.Spec
	seeders  func(*proxmox.Client, *slog.Logger) map[fleet.Way]fleet.Seeder
	secret   string // of the token that the controller has
	alone    bool   // the next controller knows that no other one works
	observer fleet.Observer
	sequence fleet.Sequence // of the next controller

	// toGitHub and toProxmox are what the controller's requests go through.
	toGitHub, toProxmox *link
	log                 *safeBuffer

	controller *fleet.Controller
	stop       context.CancelFunc
	ended      chan error
}

// setup is what a test changes about its bench.
type setup struct {
	gh       gh.Options
	pve      pve.Options
	guests   world.GuestOptions
	spec     fleet.Spec
	token    string // GitHub's, instead of the good one
	as       string // the id of one of pve.Tokens, instead of the fleet's token
	observer fleet.Observer
	seeders  func(*proxmox.Client, *slog.Logger) map[fleet.Way]fleet.Seeder
	engine   func(pve.Engine) pve.Engine // put before the guests'
}

func newBench(t *testing.T, change func(*setup)) *bench {
	t.Helper()
	time.Sleep(time.Until(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))) // bubbles begin in the year 2000
	target := runner.Target{Owner: "NREL", Repo: "EnergyPlus"}
	s := setup{
		guests: world.GuestOptions{Boot: 12 * time.Second, Shutdown: 2 * time.Second},
		spec: fleet.Spec{
			Installation: "bench", ResourcePool: "ci", VMIDs: fleet.Range{Start: 200, End: 299}, MaxRunners: 8,
			PollInterval: 15 * time.Second,
			Pools: []runner.Pool{{
				Name: "ep", Target: target, Labels: []string{"energyplus", "linux", "x64"}, GroupID: 1,
				NamePrefix: "energyplus-runner", Template: "ubuntu-2204-runner-template", Max: 8, RunnerUser: "runner",
				BootTimeout: 5 * time.Minute, IdleTimeout: 10 * time.Minute, MaxJobDuration: 6 * time.Hour,
			}},
		},
	}
	if change != nil {
		change(&s)
	}
	b := &bench{t: t, spec: s.spec, seeders: s.seeders, observer: s.observer, log: &safeBuffer{}}
	b.gh = gh.New(s.gh)
	s.guests.Transport = b.gh.RoundTripper()
	b.guests = world.NewGuests(s.guests)
	s.pve.Engine = b.guests
	if s.engine != nil {
		s.pve.Engine = s.engine(b.guests)
	}
	b.pve = pve.New(s.pve)
	if b.spec.Node == "" {
		b.spec.Node = b.pve.Info().Node
	}
	b.spec.Token, b.secret = b.pve.Info().TokenID, b.pve.Info().TokenSecret
	for _, other := range s.pve.Tokens {
		if other.ID == s.as {
			b.spec.Token, b.secret = other.ID, other.Secret
		}
	}
	b.toGitHub, b.toProxmox = &link{next: b.gh.RoundTripper()}, &link{next: b.pve.RoundTripper()}
	t.Cleanup(func() {
		b.halt()
		b.pve.Close()
		b.guests.Close()
		b.gh.Close()
		if t.Failed() {
			t.Log("controller's log:\n" + b.log.String())
		}
	})
	b.start(s.token)
	return b
}

// start gives life to a new controller; an older one must have been halted.
func (b *bench) start(token string) {
	b.t.Helper()
	if token == "" {
		token = b.gh.Info().Token
	}
	pveClient, err := proxmox.New(proxmox.Options{
		Endpoints: []string{"https://pve1:8006"}, TokenID: b.spec.Token, TokenSecret: runner.NewSecret(b.secret),
		Transport: b.toProxmox,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ghClient, err := github.New(github.Options{
		BaseURL: "https://github.example/api/v3", Token: runner.NewSecret(token), Transport: b.toGitHub,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	var seeders map[fleet.Way]fleet.Seeder
	if b.seeders != nil {
		seeders = b.seeders(pveClient, logger)
	}
	b.controller, err = fleet.New(fleet.Options{
		Spec: b.spec, Proxmox: pveClient, GitHub: ghClient, Demand: demand.NewPoll(ghClient, b.spec.Targets(), nil),
		Handoff: handoff.NewAgent(pveClient, handoff.AgentOptions{}), Seeders: seeders, Logger: logger, Version: "test",
		Alone: b.alone, Observer: b.observer, Sequence: b.sequence,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	b.stop, b.ended = cancel, make(chan error, 1)
	c, ended := b.controller, b.ended
	go func() { ended <- c.Run(ctx) }()
}

// halt ends the controller at whatever it is doing, as a crash does: nothing is tidied up.
func (b *bench) halt() {
	b.stop()
	if err := <-b.ended; err != nil {
		b.t.Errorf("controller ended with %v", err)
	}
	b.ended <- nil // for the next one who asks
}

// through has a new controller's requests to GitHub go through next: nobody uses the link while it is changed.
func (b *bench) through(next http.RoundTripper) {
	b.halt()
	b.toGitHub.next = next
	b.start("")
}

// queue queues jobs that the pool serves.
func (b *bench) queue(count int, lasting time.Duration) []int64 {
	return b.gh.AddJobs(gh.JobSpec{Count: count, Labels: []string{"self-hosted", "Linux", "energyplus"}, Duration: lasting})
}

// until waits for something to become true, looking once a second.
func (b *bench) until(limit time.Duration, what string, is func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(limit); !is(); time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			b.t.Fatalf("not within %s: %s; status %+v", limit, what, b.controller.Status())
		}
	}
}

// done reports whether every job is completed.
func (b *bench) done() bool {
	return !slices.ContainsFunc(b.gh.Jobs(), func(j gh.JobState) bool { return j.Status != "completed" })
}

// empty reports whether nothing of ours is left on either side.
func (b *bench) empty() bool {
	for _, v := range b.pve.VMs() {
		if v.Decoy == "" && !v.Template && v.Status != "destroyed" {
			return false
		}
	}
	return !slices.ContainsFunc(b.gh.Runners(), func(r gh.RunnerState) bool { return r.RemovedAt.IsZero() })
}

// served waits until all jobs are done and nothing is left, and checks what must always hold.
func (b *bench) served(limit time.Duration) {
	b.t.Helper()
	b.until(limit, "all jobs done", b.done)
	b.until(30*time.Minute, "nothing left", b.empty)
	b.check()
}

// check is what must hold at the end of every story.
func (b *bench) check() {
	b.t.Helper()
	for _, j := range b.gh.Jobs() {
		if j.Starts > 1 {
			b.t.Errorf("job %d was started %d times", j.ID, j.Starts)
		}
	}
	for _, r := range b.gh.Runners() {
		if len(r.Jobs) > 1 {
			b.t.Errorf("runner %s had %d jobs", r.Name, len(r.Jobs))
		}
	}
	names := map[string]int{}
	for _, v := range b.pve.VMs() {
		if v.DigestNow != v.DigestStart {
			b.t.Errorf("VM %d (decoy %q, template %v) was touched", v.VMID, v.Decoy, v.Template)
		}
		if v.Decoy == "" && !v.Template {
			names[v.Name]++
			if names[v.Name] > 1 {
				b.t.Errorf("two VMs were called %s", v.Name)
			}
		}
	}
}

// mostAtOnce is how many of our VMs there were at the same time.
func (b *bench) mostAtOnce() int {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for _, v := range b.pve.VMs() {
		if v.Decoy != "" || v.Template {
			continue
		}
		changes = append(changes, change{v.CreatedAt, 1})
		if v.DestroyedAt != nil {
			changes = append(changes, change{*v.DestroyedAt, -1})
		}
	}
	slices.SortFunc(changes, func(a, b change) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.by - b.by
	})
	now, most := 0, 0
	for _, c := range changes {
		now += c.by
		most = max(most, now)
	}
	return most
}

// reason is why the one waiting job waits; "" when none does.
func (b *bench) reason() fleet.Code {
	w := b.controller.Status().Waiting
	if len(w) == 0 {
		return ""
	}
	return w[0].Reason.Code
}

// link carries requests, or breaks.
type link struct {
	next http.RoundTripper
	// cut refuses connections; status, when set, answers everything with it.
	cut    atomic.Bool
	status atomic.Int32
	// lose, when set, chooses requests whose reply is lost after they took effect.
	lose atomic.Pointer[func(*http.Request) bool]
	// refuse, when set, gives the status that a request is refused with; 0 lets it through, and hangs lets it hang.
	refuse atomic.Pointer[func(*http.Request) int]
}

// hangs is in place of a status: no reply comes.
const hangs = -1

func (l *link) RoundTrip(req *http.Request) (*http.Response, error) {
	if l.cut.Load() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	s := int(l.status.Load())
	if refuse := l.refuse.Load(); s == 0 && refuse != nil {
		s = (*refuse)(req)
	}
	if s == hangs {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	if s != 0 {
		return &http.Response{
			Status: fmt.Sprintf("%d %s", s, http.StatusText(s)), StatusCode: s, Header: http.Header{}, Body: http.NoBody, Request: req,
		}, nil
	}
	res, err := l.next.RoundTrip(req)
	if lose := l.lose.Load(); err == nil && lose != nil && (*lose)(req) {
		_ = res.Body.Close()
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
	}
	return res, err
}

// safeBuffer is a buffer that several goroutines write to.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
