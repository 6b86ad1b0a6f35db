package fleet

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"mayfly/internal/runner"
)

// TestNoReadingTakesAllRunnersAtOnce has every runner of a fleet be one that should go, whyever, and each destroy take no
// time: the worst that a wrong reading could do.
func TestNoReadingTakesAllRunnersAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := testSpec()
		size := rapid.IntRange(1, 60).Draw(t, "runners")
		s.MaxRunners, s.VMIDs.End = size, s.VMIDs.Start+size
		o := world()
		c := &Controller{spec: s, ledger: o.ledger}
		total := map[int]int{} // runners at each second
		for i := range size {
			e := o.with(s.VMIDs.Start+i, "ep", rapid.SampledFrom([]runner.State{runner.Idle, runner.Busy, runner.Booting}).Draw(t, "state"))
			e.cloned = noon.Add(-time.Minute)
			e.failed = rapid.SampledFrom([]string{"its registration is gone and no job runs in it", "another reason"}).Draw(t, "why")
		}
		gone := map[int]int{}
		for second := 0; len(o.ledger.runners) > 0; second++ {
			if second > 3600 {
				t.Fatalf("%d of %d runners stay for ever", len(o.ledger.runners), size)
			}
			now := noon.Add(time.Duration(second) * time.Second)
			o.supply.at, o.queue.at, o.queue.demand.At = now, now, now
			total[second] = len(o.ledger.runners)
			d := plan(s, o, now)
			for _, a := range d.actions {
				if a.step != StepDestroy {
					continue
				}
				if !a.sweeps {
					t.Fatalf("the end of a runner that is up doesn't count: %+v", a)
				}
				c.noteSweep(o.ledger.runners[a.vmid], now)
				delete(o.ledger.runners, a.vmid)
				gone[second]++
			}
			if left := len(o.ledger.runners); left > 0 && len(d.actions) == 0 && d.unswept == 0 {
				t.Fatalf("%d runners wait, and nobody is told", left)
			}
			within := 0
			for at := max(0, second-59); at <= second; at++ {
				within += gone[at]
			}
			if first := total[max(0, second-59)]; within > max(minSweep, first/sweepShare) {
				t.Fatalf("%d of %d runners were destroyed within a minute", within, first)
			}
		}
	})
}

// TestUsedUpRunnersGoAtOnce: what has powered off or said that its job is over doesn't wait for anything.
func TestUsedUpRunnersGoAtOnce(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(*observed, *entry)
	}{
		{"powered off", func(_ *observed, e *entry) { e.stopped = noon }},
		{"listener ended", func(_ *observed, e *entry) { e.finished = noon.Add(-time.Hour) }},
		{"the fleet drains", func(o *observed, e *entry) { o.ending, e.busy = draining, time.Time{} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, o := testSpec(), world()
			for range 2 * minSweep {
				o.ledger.sweeps = append(o.ledger.sweeps, noon)
			}
			e := o.with(201, "ep", runner.Busy)
			e.cloned = noon.Add(-time.Minute)
			tc.end(&o, e)
			if d := plan(s, o, noon); len(d.actions) != 1 || d.actions[0].step != StepDestroy || d.unswept != 0 {
				t.Errorf("actions %+v, waiting for their end: %d", d.actions, d.unswept)
			}
		})
	}
}
