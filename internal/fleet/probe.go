package fleet

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"mayfly/internal/handoff"
)

// maxProbes is how many guests of a node are asked at once when it answers well: an answer holds one of the node's three
// daemon workers for a moment only, its absence for 3 s.
const maxProbes = 3

// probe wants a booting guest asked whether it is ready, not before the time that the template usually takes.
func (p *planner) probe(e *entry) {
	if due := e.started.Add(p.usualBoot(e)); !e.adopted && p.now.Before(due) {
		p.wakeAt(due)
		return
	}
	if !e.halted.IsZero() { // its processors stand still
		return
	}
	p.due[e.node] = append(p.due[e.node], e)
}

// usualBoot is how long guests of the runner's template take from start to ready.
func (p *planner) usualBoot(e *entry) time.Duration {
	if pool, ok := p.s.Pool(e.pool); ok {
		if usual, learnt := p.o.ledger.bootTimes[pool.Base()]; learnt {
			return usual
		}
	}
	return p.s.Timing.FirstProbe
}

// patientProbes is how often a guest is asked before others go first: it boots unusually long, or hangs.
const patientProbes = 6

// probeDue asks, of each node's guests whose time has come, those first that have booted the longest. One that never
// answers keeps no other from being noticed.
func (p *planner) probeDue() {
	for _, node := range sortedKeys(p.due) {
		list := p.due[node]
		slices.SortStableFunc(list, func(a, b *entry) int {
			return cmp.Or(cmp.Compare(a.asked/patientProbes, b.asked/patientProbes), a.started.Compare(b.started))
		})
		for _, e := range list[:min(len(list), max(0, p.o.ledger.probeRoom(node)-p.probes[node]))] {
			p.probes[node]++
			p.act(e, action{step: StepProbe, why: "it has had time to boot", about: p.unknown(e)})
		}
	}
}

// probeRoom is how many guests of the node may be asked at once: one while guests there don't answer, one more with each
// that does, one less with each that doesn't. One slow guest among quick ones is no reason to ask them one by one.
func (l *ledger) probeRoom(node string) int { return 1 + l.answers[node] }

// answered keeps how guests of a node answer.
func (l *ledger) answered(node string, err error) {
	switch {
	case err == nil:
		l.answers[node] = min(l.answers[node]+1, maxProbes-1)
	case errors.Is(err, handoff.ErrNotReady):
		l.answers[node] = max(l.answers[node]-1, 0)
	}
}

// learnBoot keeps how long guests of a template take to be ready, the quickest of them.
func (l *ledger) learnBoot(base string, took time.Duration) {
	usual := time.Duration(float64(took) * learnShare)
	if best, known := l.bootTimes[base]; !known || usual < best {
		l.bootTimes[base] = usual
	}
}

// learnShare is how much of the shortest time seen is waited before the first probe: a bit less, so that a faster
// guest is noticed. Much less would have each guest asked in vain, and keep the others of its node waiting.
const learnShare = 0.97
