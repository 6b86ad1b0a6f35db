package sim

import (
	"strconv"
	"strings"

	"mayfly/internal/fleet"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// rule is something that must always hold. Its methods are called one at a time, with the model brought up to date before.
type rule interface {
	began(c *call)                    // a request of the dispatcher sets out
	ended(c *call)                    // and comes back
	changed(c pve.Change)             // a VM changed
	sampled(s sample)                 // the dispatcher's own words, every sampleEvery
	finished(p pve.State, g gh.State) // the world is over
}

// anyRule is a rule that asks for nothing, for others to build on.
type anyRule struct{}

func (anyRule) began(*call)                  {}
func (anyRule) ended(*call)                  {}
func (anyRule) changed(pve.Change)           {}
func (anyRule) sampled(sample)               {}
func (anyRule) finished(pve.State, gh.State) {}

// sample is what the dispatcher says and what is so at that instant.
type sample struct {
	status fleet.Status
	open   []gh.JobLook
	proc   *process
}

func allRules(w *world) []rule {
	return []rule{
		&caps{w: w}, &untouched{w: w}, &oneIdentity{w: w, minted: map[string]int{}}, &cooldown{w: w},
		&destroys{w: w}, &busyKept{w: w}, &inFlight{w: w, calls: map[string]int{}}, &bounded{w: w},
		&explained{w: w, silent: map[int64]int{}}, &secrets{w: w}, &served{w: w}, &oneHolder{w: w},
	}
}

func (w *world) sample() {
	p := w.working()
	if p == nil {
		return
	}
	s := sample{status: p.c.Status(), open: w.gh.OpenJobs(), proc: p}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.rules {
		r.sampled(s)
	}
}

// finish asks the rules about the end.
func (w *world) finish(quiet bool) {
	p, g := w.pve.State(), w.gh.State()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !quiet {
		w.violated("served", "%s after the last fault not all is done: %d open jobs, %d registrations, %d VMs are left", servedWithin, openJobs(g), registrations(g), len(w.model.vms))
	}
	for _, r := range w.rules {
		r.finished(p, g)
	}
}

func openJobs(g gh.State) int {
	n := 0
	for _, j := range g.Jobs {
		if j.Status != "completed" {
			n++
		}
	}
	return n
}

func registrations(g gh.State) int {
	n := 0
	for _, r := range g.Runners {
		if r.RemovedAt.IsZero() {
			n++
		}
	}
	return n
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// poolOf is the pool of a runner's name: its prefix.
func poolOf(name string) string {
	pool, _, _ := strings.Cut(name, "-")
	return pool
}
