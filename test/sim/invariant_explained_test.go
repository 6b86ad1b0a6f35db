package sim

import (
	"time"
)

// explained: each waiting job is among those of the status, with a reason. Once it is, no error takes it away: it stays
// until it has a runner or is over. And the status is of now.
type explained struct {
	anyRule
	w      *world
	gen    int
	known  map[int64]bool
	silent map[int64]int
}

const (
	// toldPolls is how many polls a job may wait before the dispatcher speaks of it, while GitHub answers.
	toldPolls = 12
	// silentPolls is for how many polls in a row it may then be missing: twenty replies in a row may say wrongly that nothing
	// changed.
	silentPolls = 8
	// freshWithin is how old the status may be.
	freshWithin = time.Minute
)

func (r *explained) sampled(s sample) {
	if r.gen != s.proc.gen {
		r.gen, r.known, r.silent = s.proc.gen, map[int64]bool{}, map[int64]int{}
	}
	toldWithin, silentFor := toldPolls*r.w.poll, int(silentPolls*r.w.poll/sampleEvery)
	thawed := time.Unix(0, s.proc.frozen.Load())
	awake := s.proc.started
	if thawed.After(awake) {
		awake = thawed
	}
	if time.Since(awake) < toldWithin {
		return
	}
	if age := time.Since(s.status.At); age > freshWithin {
		r.w.violated("explained", "the status is %s old", age)
	}
	told := map[int64]bool{}
	for _, x := range s.status.Waiting {
		told[x.Job] = true
		if x.Reason.Code == "" || x.Reason.Text == "" {
			r.w.violated("explained", "job %d waits without a reason", x.Job)
		}
	}
	for _, j := range s.open {
		if j.Status != "queued" || j.Runner != "" {
			delete(r.known, j.ID)
			delete(r.silent, j.ID)
			continue
		}
		switch {
		case told[j.ID]:
			r.known[j.ID] = true
			delete(r.silent, j.ID)
			continue
		case r.known[j.ID] && !s.status.GitHub.OK:
			r.w.violated("demand kept", "job %d still waits, and is forgotten because GitHub can't be read", j.ID)
		case time.Since(j.Queued) > toldWithin && s.status.GitHub.OK:
			if r.silent[j.ID]++; r.silent[j.ID] == silentFor {
				r.w.violated("explained", "job %d has waited for %s and nobody says why", j.ID, time.Since(j.Queued))
			}
		}
	}
}
