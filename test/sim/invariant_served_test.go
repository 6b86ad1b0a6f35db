package sim

import (
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// served: every job that nobody cancelled ran to its end, once; only bad guests lose jobs. That all is done in time and
// nothing is left, the end of the world itself checks.
type served struct {
	anyRule
	w *world
}

func (r *served) finished(_ pve.State, g gh.State) {
	for _, j := range g.Jobs {
		lost := j.Conclusion == "failure" && j.Reason != "" || j.Conclusion == "cancelled"
		if j.Status == "completed" && lost && !r.w.model.cancelled[j.ID] && !r.w.model.badGuests[j.RunnerName] {
			r.w.violated("served", "job %d on %q ended as %s: %s", j.ID, j.RunnerName, j.Conclusion, j.Reason)
		}
	}
}
