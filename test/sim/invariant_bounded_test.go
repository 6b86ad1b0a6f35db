package sim

import (
	"slices"
	"strings"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// bounded: a job costs one VM, and whatever goes wrong at most two more; a crash, and a configuration that makes VMs of another
// shape, may cost every VM that there may be. In a crash loop each process finds out anew that a storage is full, with as many clones
// as it takes at once.
type bounded struct {
	anyRule
	w *world
}

// clonesAtOnce is how many clones and removals the fleet has under way on a storage (docs/operations.md).
const clonesAtOnce = 4

func (r *bounded) finished(pve.State, gh.State) {
	r.w.plan.mu.Lock()
	defer r.w.plan.mu.Unlock()
	most := r.w.jobs
	if waiting := r.w.pools * (r.w.idle + r.w.spares); waiting > 0 {
		// Runners that wait for a job are replaced as they age, and each job may need the room of another pool's.
		most += r.w.jobs + waiting*int(1+r.w.troubled/spareAge)
	}
	full := slices.ContainsFunc(r.w.plan.fired, func(id string) bool { return strings.HasPrefix(id, "storage is full") })
	for _, id := range r.w.plan.fired {
		if full && strings.HasPrefix(id, "crash loop") {
			most += int(loopFor/loopEvery) * clonesAtOnce
		}
		most += 2
		if strings.HasPrefix(id, "crash") || strings.HasPrefix(id, "freeze") || strings.HasPrefix(id, "configuration reloaded") ||
			strings.HasPrefix(id, "guests can't") || strings.HasPrefix(id, "runner release") {
			most += r.w.runners
		}
		if strings.HasPrefix(id, "assignment withdrawn") {
			most++ // three runners
		}
	}
	if r.w.model.made > most {
		r.w.violated("bounded", "%d VMs for %d jobs and %d faults, want at most %d", r.w.model.made, r.w.jobs, len(r.w.plan.fired), most)
	}
}
