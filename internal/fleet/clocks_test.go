package fleet_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/pve"
)

// TestLostReplyIsFoundWhateverTheNodesClockShows: tasks are dated by the node's clock, and looked up by what it shows.
func TestLostReplyIsFoundWhateverTheNodesClockShows(t *testing.T) {
	for _, c := range []change{clones, starts, deletes} {
		for _, ahead := range []time.Duration{-2 * time.Hour, -3 * time.Minute, 3 * time.Minute, 2 * time.Hour} {
			t.Run(fmt.Sprintf("%s/%s", c.name, ahead), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b := newBench(t, nil)
					b.pve.SetClock(ahead)
					b.arm(pve.FaultSpec{Kind: "reset_after", Match: pve.FaultMatch{Method: c.method, Path: c.path}})
					c.story(b)
					b.fired()
					b.made(1, 1)
					b.jobsRan()
					if n := b.asked(c.method, c.path); n != c.usual {
						t.Errorf("%s was asked for %d times, want %d", c.name, n, c.usual)
					}
				})
			})
		}
	}
}

// TestClocksThatJumpCostNothing: a machine that was suspended, or a node that finds its time server again.
func TestClocksThatJumpCostNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.MaxRunners = 3 })
		b.queue(20, time.Minute)
		for i, ahead := range []time.Duration{3 * time.Minute, -3 * time.Minute, time.Hour, -time.Hour, 0} {
			time.Sleep(97 * time.Second)
			b.pve.SetClock(ahead)
			if i%2 == 0 {
				b.gh.SetClock(ahead)
			}
		}
		b.served(3 * time.Hour)
		b.made(20, 20)
		b.jobsRan()
	})
}
