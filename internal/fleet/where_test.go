package fleet

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/runner"
)

// second is another repository of a pool.
var second = runner.Target{Owner: "NREL", Repo: "OpenStudio"}

// jobAt is a job of the repository for the pool of testSpec.
func jobAt(id int64, t runner.Target) runner.Job {
	j := job(id, "self-hosted", "linux", "x64")
	j.Target = t
	return j
}

// TestARunnerIsBoundToTheRepositoryOfTheJobThatWaits has a pool of two repositories; steps tells clones, identities with
// their repository, and ends.
func TestARunnerIsBoundToTheRepositoryOfTheJobThatWaits(t *testing.T) {
	ready := func(o *observed, vmid int) *entry {
		e := o.with(vmid, "ep", runner.Booting)
		e.ready = e.started
		return e
	}
	idle := func(o *observed, vmid int, at runner.Target) {
		o.with(vmid, "ep", runner.Idle).target = at
	}
	for _, tc := range []struct {
		name  string
		jobs  []runner.Job
		pool  func(*runner.Pool)
		world func(*observed)
		want  []string
	}{
		{name: "nothing is there", jobs: []runner.Job{jobAt(1, target), jobAt(2, second)}, want: []string{"clone", "clone"}},
		{name: "a booted one is for whichever waits", jobs: []runner.Job{jobAt(1, second)}, world: func(o *observed) { ready(o, 200) }, want: []string{"register NREL/OpenStudio"}},
		{
			name: "the oldest job first", jobs: []runner.Job{jobAt(2, target), jobAt(1, second)}, world: func(o *observed) { ready(o, 200) },
			want: []string{"clone", "register NREL/OpenStudio"},
		},
		{
			name: "one for each", jobs: []runner.Job{jobAt(1, target), jobAt(2, second)}, world: func(o *observed) { ready(o, 200); ready(o, 201) },
			want: []string{"register NREL/EnergyPlus", "register NREL/OpenStudio"},
		},
		{
			name: "an idle one elsewhere answers for nothing", jobs: []runner.Job{jobAt(1, second)}, world: func(o *observed) { idle(o, 200, target) },
			want: []string{"clone"},
		},
		{
			name: "an idle one there does", jobs: []runner.Job{jobAt(1, second)}, world: func(o *observed) { idle(o, 200, second) },
		},
		{
			name: "an idle one elsewhere makes room", jobs: []runner.Job{jobAt(1, second)},
			pool: func(p *runner.Pool) { p.Max, p.MinIdle = 1, 1 }, world: func(o *observed) { idle(o, 200, target) },
			want: []string{"destroy"},
		},
		{
			name: "an idle one there stays though the pool is full", jobs: []runner.Job{jobAt(1, second)},
			pool: func(p *runner.Pool) { p.Max, p.MinIdle = 1, 1 }, world: func(o *observed) { idle(o, 200, second) },
		},
		{name: "one to be warm is the first's", pool: func(p *runner.Pool) { p.MinIdle = 1 }, world: func(o *observed) { ready(o, 200) }, want: []string{"register NREL/EnergyPlus"}},
		{name: "a spare is nobody's", pool: func(p *runner.Pool) { p.BootedSpares = 1 }, world: func(o *observed) { ready(o, 200) }},
		{
			name: "a repository that can't be read holds up no other", jobs: []runner.Job{jobAt(1, target), jobAt(2, second)},
			world: func(o *observed) { ready(o, 200); o.queue.failed[target] = errors.New("HTTP 502") },
			want:  []string{"register NREL/OpenStudio"},
		},
		{
			name: "one found after a restart waits until all could be read", jobs: []runner.Job{jobAt(1, second)},
			world: func(o *observed) { ready(o, 200).adopted = true; o.queue.failed[target] = errors.New("HTTP 502") },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, o := testSpec(), world(tc.jobs...)
			s.Pools[0].More = []runner.Target{second}
			o.queue.registrations[second] = nil
			if tc.pool != nil {
				tc.pool(&s.Pools[0])
			}
			if err := s.compile(); err != nil {
				t.Fatal(err)
			}
			if tc.world != nil {
				tc.world(&o)
			}
			for _, e := range o.ledger.runners {
				e.shape = s.shapeKey(s.Pools[0], o.supply.templates["tmpl"])
			}
			var got []string
			for _, a := range plan(s, o, noon.Add(time.Second)).actions {
				switch a.step {
				case StepRegister:
					got = append(got, fmt.Sprintf("%s %s", a.step, a.target))
				case StepClone, StepDestroy:
					got = append(got, string(a.step))
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
