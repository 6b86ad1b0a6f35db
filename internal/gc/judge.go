package gc

import (
	"fmt"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/handoff"
	"mayfly/internal/runner"
)

// facts are what is known of a VM that is provably ours.
type facts struct {
	age    time.Duration
	status string // as its node says it; "" when nobody knows
	lock   string
	// registered is whether GitHub lists its registration; unread that the lists couldn't be read.
	registered, online, busy bool
	unread                   error
	// guest is the answer of its guest, deaf why there is none.
	guest handoff.Guest
	deaf  error
	// most is the longest that a runner of its pool can live.
	most time.Duration
}

// verdict says what to do about a VM and why.
type verdict struct {
	outcome Outcome // Removed where it is to go; "" where there is nothing to say
	why     string
	// confirm asks to look again whether its registration is still offline.
	confirm bool
}

// judge says whether a VM has a purpose. A running VM without an identity is never judged to have none: it may be a spare
// of a dispatcher that gives it one this very moment, and nothing could tell.
func judge(f facts, grace time.Duration) verdict {
	switch {
	case f.age < grace:
		return verdict{}
	case f.lock == "clone" || f.lock == "create" || f.lock == "destroyed":
		return verdict{Left, "a task that was killed left it locked (" + f.lock + "), and no token can unlock it", false}
	case f.lock != "":
		return verdict{Kept, "somebody works on it (lock: " + f.lock + ")", false}
	case f.status == "stopped":
		return verdict{Removed, "it is powered off", false}
	case f.status != "running":
		return verdict{Kept, "its node doesn't say whether it runs", false}
	case f.unread != nil:
		return verdict{Kept, "GitHub can't be read, so nobody knows whether a job runs in it", false}
	case f.busy:
		return verdict{}
	case f.registered && f.online && f.age < grace+f.most:
		return verdict{}
	case f.registered && f.online:
		return verdict{Removed, fmt.Sprintf("it is older than any runner of its pool gets (%s), and has no job", f.most), false}
	case f.registered:
		return verdict{Removed, "its runner is offline", true}
	}
	return judgeUnregistered(f, grace)
}

// judgeUnregistered is judge for a VM that runs and that GitHub has no registration of.
func judgeUnregistered(f facts, grace time.Duration) verdict {
	switch {
	case f.deaf != nil && f.age >= grace+f.most:
		return verdict{Removed, fmt.Sprintf("it has no registration, its guest doesn't answer, and it is older than any runner of its pool gets (%s)", f.most), false}
	case f.deaf != nil:
		return verdict{Kept, "it has no registration, but its guest doesn't say whether a job runs in it: " + f.deaf.Error(), false}
	case f.guest.State == handoff.Done:
		return verdict{Removed, "its job is over, and it did not power off", false}
	case f.guest.State == handoff.Delivered && f.guest.JobStarted:
		return verdict{Kept, "it has no registration, but a job runs in it", false}
	case f.guest.State == handoff.Delivered:
		return verdict{Removed, "GitHub has dropped its registration, so that no job can reach it", true}
	}
	return verdict{Kept, "it waits for an identity: a spare of a dispatcher that runs; if none does, stop it, and it is removed the next time", false}
}

// longest is how long a runner of the pool can live at most.
func longest(s fleet.Spec, pool string) time.Duration {
	p, known := s.Pool(pool)
	if !known {
		p = runner.Pool{BootTimeout: 10 * time.Minute, IdleTimeout: time.Hour, MaxJobDuration: 5 * 24 * time.Hour} // GitHub's own limit of a job
	}
	return p.BootTimeout + p.IdleTimeout + p.MaxJobDuration
}
