package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mayfly/internal/lease"
)

const (
	// leaseMapping is where two dispatchers keep their lease, and leaseTTL how long it outlives its holder's last renewal.
	leaseMapping = "mayfly-lease"
	leaseTTL     = 30 * time.Second
)

// takeTurns is a dispatcher that works while it has the lease, as mayfly run does with lease.enabled. Each of its turns is a
// process of its own for the rules: nothing is carried over.
func (p *process) takeTurns(ctx context.Context) error {
	keeper, err := lease.New(lease.Options{
		Store: p.w.proxmoxClient(p), Mapping: leaseMapping, Installation: p.w.spec.Installation, Process: fmt.Sprintf("process%d", p.gen),
		Name: fmt.Sprintf("machine%d", p.gen), TTL: leaseTTL, Logger: slog.New(slog.NewTextHandler(p.w.log, nil)),
	})
	if err != nil {
		panic(err)
	}
	for ctx.Err() == nil {
		if err := keeper.Hold(ctx, p.serveTerm); err != nil && !errors.Is(err, lease.ErrLost) {
			return err
		}
	}
	return nil
}

// serveTerm works until the term is over.
func (p *process) serveTerm(ctx context.Context, t *lease.Term) error {
	turn := &process{w: p.w, gen: p.w.nextGen(), started: time.Now(), cut: p.cut, frozen: p.frozen, term: t}
	p.w.trace.add("process %d has the lease as process %d", p.gen, turn.gen)
	turn.begin()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.turnOf.Store(turn)
	defer p.turnOf.Store(nil)
	ended := make(chan error, 1)
	go func() { ended <- turn.c.Run(ctx) }()
	lost := t.Lost()
	if turn.term == nil { // a breakage
		lost = nil
	}
	select {
	case err := <-ended:
		return err
	case <-lost:
		cancel()
		<-ended
		return lease.ErrLost
	}
}

// works is the process that works while the dispatcher lives; nil while it stands by.
func (p *process) works() *process {
	switch {
	case p == nil || p.dead():
		return nil
	case p.w.lease:
		return p.turnOf.Load()
	}
	return p
}

// working is the process that works now: of two that think so the later one; nil when none does.
func (w *world) working() *process {
	a, b := w.proc.works(), w.other.works()
	if a == nil || b != nil && b.gen > a.gen {
		return b
	}
	return a
}

// turnTo has troubles meet the dispatcher that works, where two take turns.
func (w *world) turnTo() {
	if p := w.working(); w.lease && p != nil && w.other.works() == p {
		w.proc, w.other = w.other, w.proc
	}
}

// revive starts the dispatchers that are dead.
func (w *world) revive() {
	if w.proc == nil || w.proc.dead() {
		w.proc = w.newProcess()
	}
	if w.lease && (w.other == nil || w.other.dead()) {
		w.other = w.newProcess()
	}
}

// endAll kills the dispatchers.
func (w *world) endAll() {
	for _, p := range []*process{w.proc, w.other} {
		if p != nil && !p.dead() {
			p.kill()
		}
	}
}
