package sim

import (
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// githubTroubles are what GitHub, and the way to it, do.
var githubTroubles = []trouble{
	shortLists, shortLists, oddLists, oddLists, listsLag, secondaryLimit, secondaryLimit, primaryLimit, nameTaken, oneTooMany, permissionMissing, assignmentWithdrawn, stolen,
	approval, guestsCutOff, releaseRefused,
}

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

// assignmentWithdrawn takes jobs back as their runners start them, one to three in a row: each runner is spent.
func assignmentWithdrawn(w *world, at time.Time, object string) []event {
	return w.simply(at, object, "assignment withdrawn", func() { w.gh.WithdrawNext(between(1, 3, w.seed, "withdrawn", object)) })
}

// listsLag has lists of runners show who there was up to two minutes ago, for some minutes.
func listsLag(w *world, at time.Time, object string) []event {
	return append(w.simply(at, object, "GitHub: list of runners lags", func() { w.gh.SetRunnerLag(w.seconds("lag", object, 5, 120)) }),
		event{at.Add(w.seconds("lags", object, 60, 600)), "lists are up to date", func() { w.gh.SetRunnerLag(0) }})
}

// oddLists has lists of GitHub's repeat what they hold, have it in the opposite order, or say that nothing changed.
func oddLists(w *world, at time.Time, object string) []event {
	kind := pick(w.seed, "odd "+object, "double_list", "reverse_list", "stale_304")
	return w.githubFault(at, object, kind, gh.FaultSpec{
		Kind: kind, Match: gh.FaultMatch{Method: "GET", Path: "/repos/*/*/actions/**", Count: between(1, 20, w.seed, "odd lists", object)},
	})
}

// primaryLimit refuses some requests as if the hour's were used up.
func primaryLimit(w *world, at time.Time, object string) []event {
	return w.githubFault(at, object, "403_primary", gh.FaultSpec{Kind: "403_primary", Match: gh.FaultMatch{Path: "/repos/**"}})
}

// nameTaken refuses a registration for its name.
func nameTaken(w *world, at time.Time, object string) []event {
	return w.githubFault(at, object, "409", gh.FaultSpec{Kind: "409", Match: gh.FaultMatch{Path: "**/generate-jitconfig"}})
}

// stolen has a runner that isn't ours take one of the queued jobs.
func stolen(w *world, at time.Time, object string) []event {
	return []event{{at, "job stolen", func() {
		for _, j := range w.gh.OpenJobs() {
			if j.Status == "queued" && j.Runner == "" {
				if w.plan.trouble("job stolen", object) && w.gh.Steal(j.ID, w.seconds("stolen", object, 5, 300)) {
					w.model.cancelled[j.ID] = true
					w.trace.add("job %d is stolen", j.ID)
				}
				return
			}
		}
	}}}
}

// oneTooMany refuses registrations as if there were too many already.
func oneTooMany(w *world, at time.Time, object string) []event {
	return w.githubFault(at, object, "422", gh.FaultSpec{
		Kind: "422", Match: gh.FaultMatch{Path: "**/generate-jitconfig", Count: between(1, 3, w.seed, "too many", object)},
	})
}

// permissionMissing refuses some requests for want of a permission: somebody changes the token's.
func permissionMissing(w *world, at time.Time, object string) []event {
	return w.githubFault(at, object, "403_permission", gh.FaultSpec{
		Kind: "403_permission", Match: gh.FaultMatch{Path: "/repos/**", Count: between(1, 20, w.seed, "permission", object)},
	})
}

// approval has jobs of a pool wait for somebody's approval, which comes later.
func approval(w *world, at time.Time, object string) []event {
	end := at.Add(w.seconds("approved", object, 20, 3600))
	if end.After(w.plan.until) {
		return nil
	}
	var ids []int64
	return []event{
		{at, "approval", func() {
			if !w.plan.trouble("job waits for approval", object) {
				return
			}
			count := between(1, 3, w.seed, "approvals", object)
			w.jobs += count
			ids = w.gh.AddJobs(gh.JobSpec{
				Count: count, Labels: []string{"self-hosted", poolName(between(0, w.pools-1, w.seed, "pool for approval", object))}, Duration: w.lasting, Status: "waiting",
			})
			w.trace.add("jobs %v wait for approval", ids)
		}},
		{end, "approved", func() {
			for _, id := range ids {
				w.trace.add("job %d is approved: %t", id, w.gh.Release(id))
			}
		}},
	}
}

// guestsCutOff has no guest reach GitHub for a minute or two: jobs that end meanwhile can't tell how.
func guestsCutOff(w *world, at time.Time, object string) []event {
	return w.simply(at, object, "guests can't reach GitHub", func() {
		w.mu.Lock()
		for _, v := range w.model.vms {
			w.model.badGuests[v.name] = true
		}
		w.mu.Unlock()
		w.cutOff.Store(time.Now().Add(w.seconds("cut off", object, 30, 150)).UnixNano())
	})
}

// releaseRefused has GitHub take the guests' release of the Actions runner for too old, for some minutes.
func releaseRefused(w *world, at time.Time, object string) []event {
	return w.simply(at, object, "runner release is refused", func() {
		w.refused.Store(time.Now().Add(w.seconds("release", object, 30, 600)).UnixNano())
	})
}

// The releases of the Actions runner that the guests have, and seem to have while theirs is refused.
const (
	newRelease = "2.335.1"
	oldRelease = "2.300.0"
)

func (w *world) releaseOf(pve.Machine) string {
	if time.Now().UnixNano() < w.refused.Load() {
		return oldRelease
	}
	return newRelease
}
