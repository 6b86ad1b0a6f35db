package demand

import (
	"context"
	"time"

	"mayfly/internal/runner"
)

// Source is where the controller gets its jobs from. Read returns an error only when it has nothing to tell of any
// target; the error then joins those of all targets.
type Source interface {
	Read(ctx context.Context) (Reading, error)
}

// Reading is the jobs of all targets, as far as they could be read.
type Reading struct {
	// Jobs are those not completed, target by target, by id. Jobs of a target in Partial are its last known ones.
	Jobs []runner.Job
	// At is when the read began: what happened after it may be missing.
	At time.Time
	// Partial has the error of each target that couldn't be read now.
	Partial map[runner.Target]error
	// Stale says, for each target in Partial that was ever read, when the read began that its jobs come from.
	Stale map[runner.Target]time.Time
}
