package fleet

import (
	"fmt"
	"testing"
	"time"

	"mayfly/internal/runner"
)

// fleetOf is a spec and an observation of so many busy runners in ten pools, with so many jobs that wait for more.
func fleetOf(runners, jobs int) (Spec, observed) {
	const pools = 10
	var all []runner.Pool
	for i := range pools {
		pool := testPool(fmt.Sprintf("pool%d", i), fmt.Sprintf("pool%d", i), "linux", "x64")
		pool.Max = runners
		all = append(all, pool)
	}
	s := testSpec(all...)
	s.MaxRunners, s.VMIDs = runners+pools, Range{10_000, 10_000 + 3*runners + 100}
	var waiting []runner.Job
	for i := range jobs {
		waiting = append(waiting, job(int64(i+1), "linux", fmt.Sprintf("pool%d", i%pools)))
	}
	o := world(waiting...)
	for i := range runners {
		e := o.with(10_000+i, fmt.Sprintf("pool%d", i%pools), runner.Busy)
		e.created = noon.Add(time.Duration(i) * time.Millisecond)
	}
	return s, o
}

// BenchmarkPlan is one plan over fleets that grow tenfold each time, with ten waiting jobs for each runner.
func BenchmarkPlan(b *testing.B) {
	for _, runners := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("runners=%d/jobs=%d", runners, 10*runners), func(b *testing.B) {
			s, o := fleetOf(runners, 10*runners)
			b.ReportAllocs()
			for b.Loop() {
				if d := plan(s, o, noon); len(d.waiting) != 10*runners {
					b.Fatalf("%d jobs have a reason", len(d.waiting))
				}
			}
		})
	}
}
