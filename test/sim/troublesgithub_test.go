package sim

import (
	"time"

	"mayfly/internal/sim/gh"
)

// shortLists has GitHub's list of runners miss some or all of them, with status 200.
func shortLists(w *world, at time.Time, object string) []event {
	kind := pick(w.seed, "list "+object, "partial_list", "empty_list")
	return w.githubFault(at, object, kind, gh.FaultSpec{
		Kind: kind, Match: gh.FaultMatch{Path: "/repos/*/*/actions/runners", Count: between(1, 30, w.seed, "lists", object)},
	})
}

// secondaryLimit has GitHub ask for a pause.
func secondaryLimit(w *world, at time.Time, object string) []event {
	kind := pick(w.seed, "limit "+object, "403_secondary", "429")
	return w.githubFault(at, object, kind, gh.FaultSpec{
		Kind: kind, RetryAfter: between(0, 2, w.seed, "retry", object) * 60, Match: gh.FaultMatch{Path: "/repos/**"},
	})
}

func (w *world) githubFault(at time.Time, object, name string, spec gh.FaultSpec) []event {
	return []event{{at, "github fault", func() {
		if w.plan.trouble("GitHub: "+name, object) {
			w.trace.add("GitHub: %s", name)
			_, err := w.gh.Fault(spec)
			w.must(err)
		}
	}}}
}
