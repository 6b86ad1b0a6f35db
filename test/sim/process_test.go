package sim

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/demand"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/lease"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/runners"
)

// process is one life of the dispatcher, from its start to its death. All that it does to the world passes its links, so
// that nothing of it has an effect once it is dead, whatever its goroutines still try.
type process struct {
	w       *world
	gen     int
	started time.Time
	names   int
	cut     chan struct{}
	cancel  context.CancelFunc
	c       *fleet.Controller
	ended   chan error
	// frozen is until when nothing of it runs, in nanoseconds since 1970: its machine was suspended.
	frozen *atomic.Int64
	// term is its turn, and turn the process that a dispatcher is while it has its turn: where two take turns.
	term   *lease.Term
	turnOf atomic.Pointer[process]
}

func (p *process) dead() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.cut:
		return true
	default:
		return false
	}
}

// thaw waits while the process is frozen.
func (p *process) thaw(ctx context.Context, slot int64) {
	if p == nil {
		return
	}
	for {
		until := time.Unix(0, p.frozen.Load())
		if !time.Now().Before(until) {
			return
		}
		t := time.NewTimer(onSlot(time.Now(), time.Until(until), slot))
		select {
		case <-t.C:
		case <-p.cut:
			t.Stop()
			return
		}
	}
}

// newProcess gives life to the next process, and returns when it has done what it can at that instant: it may be killed before
// the next.
func (w *world) newProcess() *process {
	ctx, cancel := context.WithCancel(w.ctx)
	p := &process{w: w, gen: w.nextGen(), started: time.Now(), cut: make(chan struct{}), cancel: cancel, ended: make(chan error, 1), frozen: &atomic.Int64{}}
	w.trace.add("process %d starts", p.gen)
	run := p.takeTurns
	if !w.lease {
		p.begin()
		run = p.c.Run
	}
	go func() { p.ended <- run(ctx) }()
	w.conductor.settle("story")
	return p
}

func (w *world) nextGen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gen++
	return w.gen
}

func (w *world) specNow() fleet.Spec {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.spec
}

// begin makes the process's controller.
func (p *process) begin() {
	w := p.w
	pveClient := w.proxmoxClient(p)
	ghClient, err := github.New(github.Options{
		BaseURL: "https://github.example/api/v3", Token: runner.NewSecret(w.secrets.github),
		Transport: &link{w: w, side: toGitHub, proc: p, next: w.way(w.gh)},
	})
	if err != nil {
		panic(err)
	}
	o := fleet.Options{
		Spec: w.specNow(), Proxmox: pveClient, GitHub: ghClient, Demand: demand.NewPoll(ghClient, w.spec.Targets(), nil),
		Handoff: handoff.NewAgent(pveClient, handoff.AgentOptions{}), Version: "sim", Events: p.heard, Alone: p.term != nil,
		Logger: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelInfo})),
		Sequence: fleet.Sequence{
			Turn:    p.turn,
			Settle:  p.settle,
			NewName: p.name,
		},
	}
	if w.iso {
		o.Seeders = w.seeders(pveClient, o.Logger)
	}
	if w.broken != nil {
		w.broken(w, p, &o)
	}
	if p.c, err = fleet.New(o); err != nil {
		panic(err)
	}
}

// seeders put identities on media.
func (w *world) seeders(c *proxmox.Client, log *slog.Logger) map[fleet.Way]fleet.Seeder {
	template, err := cloudinit.Parse("embedded", runners.UserDataTemplate)
	if err != nil {
		panic(err)
	}
	iso, err := handoff.NewISO(c, handoff.ISOOptions{Storage: mediaStorage, Node: w.nodes[0], Installation: w.spec.Installation, Template: template, Logger: log})
	if err != nil {
		panic(err)
	}
	return map[fleet.Way]fleet.Seeder{fleet.WayISO: iso}
}

func (w *world) proxmoxClient(p *process) *proxmox.Client {
	c, err := proxmox.New(proxmox.Options{
		Endpoints: addresses(w.nodes[:w.ends]), TokenID: w.spec.Token, TokenSecret: runner.NewSecret(w.secrets.proxmox),
		Transport: &link{w: w, side: toProxmox, proc: p, next: w.way(w.pve)},
	})
	if err != nil {
		panic(err)
	}
	return c
}

// addresses are where nodes answer.
func addresses(nodes []string) []string {
	var out []string
	for _, name := range nodes {
		out = append(out, "https://"+name+":8006")
	}
	return out
}

// kill ends the process at whatever it is doing.
func (p *process) kill() {
	close(p.cut)
	p.cancel()
	<-p.ended
	p.w.trace.add("process %d was killed", p.gen)
}

// turn gives a step its instant. What a dead process still wants to do depends on chance, so it gets none.
func (p *process) turn(ctx context.Context, who string) {
	if p.dead() {
		return
	}
	_ = p.w.turn(ctx, p, fmt.Sprintf("process %d %s", p.gen, who))
	if vmid, destroys := strings.CutPrefix(who, "destroy "); destroys {
		p.w.model.destroys(p.gen, atoi(vmid))
	}
}

func (p *process) settle() {
	p.w.conductor.settle(fmt.Sprintf("process %d", p.gen))
	p.thaw(context.Background(), actorSlot+1)
}

// name makes names that follow from the seed.
func (p *process) name(prefix string) string {
	p.names++
	return fmt.Sprintf("%s-%010x", prefix, uint64(chance(p.w.seed, "name", p.gen, p.names)*(1<<40)))
}

func (p *process) heard(e fleet.Event) {
	if p.dead() {
		return
	}
	p.w.trace.add("event %s %s %d %s job %d", e.Kind, e.Runner, e.VMID, e.State, e.Job)
}
