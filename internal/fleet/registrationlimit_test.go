package fleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
)

// TestLimitOfRegistrationsIsSatOut: other runners of the repository have used up what GitHub lets it register in five
// minutes. Booted VMs keep, and no registration or VM is wasted on the wait.
func TestLimitOfRegistrationsIsSatOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.gh.RegistrationLimit = 3 })
		b.queue(12, time.Minute)
		b.until(5*time.Minute, "the limit is told", b.limited)
		if b.done() {
			t.Error("all jobs were served without meeting the limit")
		}
		b.served(30 * time.Minute)
		b.succeeded()
		b.made(12, 12)
	})
}

// limited reports whether a runner waits because GitHub asks us to.
func (b *bench) limited() bool {
	for _, w := range b.controller.Status().Waiting {
		if w.Reason.Code == fleet.WaitGitHubLimit {
			return true
		}
	}
	return false
}
