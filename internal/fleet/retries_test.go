package fleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

// TestJobWhoseRunnersKeepFailingDoesNotCloneForEver: a day of guests that never get ready, or never reach GitHub, costs a
// bounded number of VMs; the job says why; and it is served when the trouble has passed.
func TestJobWhoseRunnersKeepFailingDoesNotCloneForEver(t *testing.T) {
	for _, trouble := range []world.Behaviour{world.MuteAgent, world.NeverRegisters} {
		t.Run(trouble.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mended := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
				b := newBench(t, func(s *setup) {
					s.spec.PollInterval, s.spec.Timing.SupplyIdle, s.spec.Pools[0].BootTimeout = time.Minute, time.Minute, time.Minute
					s.guests.Behave = func(pve.Machine) world.Behaviour {
						if time.Now().Before(mended) {
							return trouble
						}
						return world.Normal
					}
				})
				b.queue(1, time.Minute)
				b.until(3*time.Hour, "the job says why", func() bool { return b.reason() == fleet.WaitRetries })
				spent := b.everMade()
				if spent < 5 || spent > 6 {
					t.Errorf("%d VMs were made before that, want 5", spent)
				}
				b.logged("retries spent")
				time.Sleep(time.Until(mended))
				if made := b.everMade(); made < spent+3 || made > 15 {
					t.Errorf("%d VMs were made in 20 hours, %d of them before the wait grew", made, spent)
				}
				b.served(5 * time.Hour)
			})
		})
	}
}

// TestAnotherJobIsTriedAtOnce: a re-run is another job, and so is the next one; only the job whose runners fail waits.
func TestAnotherJobIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ill := true
		b := newBench(t, func(s *setup) {
			s.guests.Behave = func(pve.Machine) world.Behaviour {
				if ill {
					return world.MuteAgent
				}
				return world.Normal
			}
		})
		ids := b.queue(1, time.Minute)
		b.until(3*time.Hour, "the job says why", func() bool { return b.reason() == fleet.WaitRetries })
		made := b.everMade()
		ill = false
		b.gh.CancelJob(ids[0])
		b.queue(1, time.Minute)
		b.until(5*time.Minute, "a runner for the next job", func() bool { return b.everMade() == made+1 })
		b.served(time.Hour)
	})
}
