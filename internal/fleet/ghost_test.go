package fleet_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

// TestGhostsKeepNoJobsForEver: GitHub gives jobs to listeners that never start them, takes them back after a minute and
// gives them to the same ones again, while more jobs wait than there are ghosts.
func TestGhostsKeepNoJobsForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int32
		b := newBench(t, func(s *setup) {
			s.guests.Behave = func(pve.Machine) world.Behaviour {
				if made.Add(1) <= 3 {
					return world.Ghost
				}
				return world.Normal
			}
		})
		b.queue(6, time.Minute)
		b.served(time.Hour)
		b.succeeded()
	})
}

// TestGuestThatHangsAfterAJobThatNobodySawGoesInMinutes: a job so short that no reading of the queue shows it running.
func TestGuestThatHangsAfterAJobThatNobodySawGoesInMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, firstIs(world.HangsAfterJob, nil))
		b.queue(1, time.Second)
		b.served(20 * time.Minute)
		b.succeeded()
	})
}
