package fleet

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mayfly/internal/runner"
)

func TestTiesOfLabelsGoByPriorityThenName(t *testing.T) {
	named := func(name string, priority int, labels ...string) runner.Pool {
		p := testPool(name, labels...)
		p.Priority = priority
		return p
	}
	for _, tc := range []struct {
		name  string
		pools []runner.Pool
		want  string
	}{
		{"fewest labels", []runner.Pool{named("a", 0, "linux", "gpu"), named("b", 0, "linux")}, "b"},
		{"fewest labels before priority", []runner.Pool{named("a", 9, "linux", "gpu"), named("b", 0, "linux")}, "b"},
		{"then priority", []runner.Pool{named("a", 0, "linux"), named("b", 1, "linux")}, "b"},
		{"then name", []runner.Pool{named("b", 0, "linux"), named("a", 0, "linux")}, "a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := plan(testSpec(tc.pools...), world(job(1, "linux")), noon)
			if len(d.waiting) != 1 || d.waiting[0].Pool != tc.want {
				t.Errorf("waiting: %+v, want pool %s", d.waiting, tc.want)
			}
		})
	}
}

func TestHigherPriorityComesFirstWhenRoomIsShort(t *testing.T) {
	low, high := testPool("low", "low"), testPool("high", "high")
	high.Priority = 1
	s := testSpec(low, high)
	s.MaxRunners = 2
	d := plan(s, world(job(1, "low"), job(2, "low"), job(3, "high")), noon)
	got := map[int64]Code{}
	for _, w := range d.waiting {
		got[w.Job.ID] = w.Reason.Code
	}
	if got[3] != WaitRunner || got[1] != WaitRunner || got[2] != WaitTotalMax {
		t.Errorf("reasons: %v; want a runner for 3 and 1, none for 2", got)
	}
}

func TestRoomIsKeptForAShareWhileItsJobsWait(t *testing.T) {
	setup := func() (Spec, observed) {
		big, small := testPool("big", "big"), testPool("small", "small")
		big.Priority, small.Share = 5, 50
		s := testSpec(big, small)
		s.MaxRunners = 4
		return s, world(job(1, "big"), job(2, "big"), job(3, "big"), job(4, "big"), job(5, "small"))
	}
	clones := func(d decision) map[string]int {
		n := map[string]int{}
		for _, a := range d.actions {
			if a.step == StepClone {
				n[a.pool.Name]++
			}
		}
		return n
	}
	s, o := setup()
	if n := clones(plan(s, o, noon)); n["big"] != 3 || n["small"] != 1 {
		t.Errorf("one job of the share waits: clones %v, want big 3, small 1", n)
	}
	s, o = setup()
	o.queue.demand.Jobs = o.queue.demand.Jobs[:4]
	if n := clones(plan(s, o, noon)); n["big"] != 4 {
		t.Errorf("no job of the share waits: clones %v, want big 4", n)
	}
	s, o = setup()
	o.ledger.backoff["small"] = backoff{failures: 2, until: noon.Add(time.Minute), why: "its template is broken"}
	if n := clones(plan(s, o, noon)); n["big"] != 4 {
		t.Errorf("the pool of the share can't make a runner: clones %v, want big 4", n)
	}
}

// TestSharesAndPrioritiesKeepTheirRules holds one plan over any fleet against what is promised of it.
func TestSharesAndPrioritiesKeepTheirRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pools []runner.Pool
		left := 100
		for i := range rapid.IntRange(1, 4).Draw(t, "pools") {
			p := testPool(fmt.Sprintf("p%d", i), fmt.Sprintf("l%d", i))
			p.Max = rapid.IntRange(1, 6).Draw(t, "max")
			p.Priority = rapid.IntRange(0, 2).Draw(t, "priority")
			p.Share = rapid.IntRange(0, left).Draw(t, "share")
			left -= p.Share
			pools = append(pools, p)
		}
		s := testSpec(pools...)
		s.MaxRunners = rapid.IntRange(1, 10).Draw(t, "max runners")
		var jobs []runner.Job
		for i := range rapid.IntRange(0, 12).Draw(t, "jobs") {
			jobs = append(jobs, job(int64(i+1), fmt.Sprintf("l%d", rapid.IntRange(0, len(pools)-1).Draw(t, "label"))))
		}
		o := world(jobs...)
		alive := map[string]int{}
		for i := range rapid.IntRange(0, s.MaxRunners).Draw(t, "runners") {
			p := pools[rapid.IntRange(0, len(pools)-1).Draw(t, "of pool")]
			if alive[p.Name] < p.Max {
				alive[p.Name]++
				o.with(200+i, p.Name, runner.Busy).job = int64(900 + i)
			}
		}
		checkRules(t, s, alive, o, plan(s, o, noon))
	})
}

func checkRules(t *rapid.T, s Spec, alive map[string]int, o observed, d decision) {
	total, open, clones := len(o.ledger.runners), map[string]int{}, map[string]int{}
	for _, a := range d.actions {
		if a.step == StepClone {
			clones[a.pool.Name]++
		}
	}
	held := map[string]bool{}
	for _, w := range d.waiting {
		open[w.Pool]++
		if held[w.Pool] && w.Reason.Code == WaitRunner {
			t.Fatalf("pool %s: job %d has a runner before an older one", w.Pool, w.Job.ID)
		}
		held[w.Pool] = held[w.Pool] || w.Reason.Code != WaitRunner
	}
	made, missing, over := 0, 0, 0
	for _, p := range s.Pools {
		if alive[p.Name]+clones[p.Name] > p.Max {
			t.Fatalf("pool %s: %d and %d more, max %d", p.Name, alive[p.Name], clones[p.Name], p.Max)
		}
		below := max(0, s.guaranteed(p)-alive[p.Name])
		made += clones[p.Name]
		missing += min(below, open[p.Name])
		over += max(0, clones[p.Name]-below)
	}
	free := s.MaxRunners - total
	if made > free {
		t.Fatalf("%d runners made where %d had room", made, free)
	}
	if over > max(0, free-missing) {
		t.Fatalf("%d runners beyond shares, though %d of %d places are kept for shares", over, missing, free)
	}
	if made == maxStorageTasks {
		return
	}
	for _, p := range s.Pools {
		if room := p.Max - alive[p.Name] - clones[p.Name]; made < free && room > 0 && open[p.Name] > clones[p.Name] {
			t.Fatalf("a place is free, and pool %s has %d jobs and room for %d, but only %d runners are made for it", p.Name, open[p.Name], room, clones[p.Name])
		}
		for _, lower := range s.Pools {
			beyond := clones[lower.Name] > max(0, s.guaranteed(lower)-alive[lower.Name])
			if lower.Priority < p.Priority && beyond && open[p.Name] > clones[p.Name] && alive[p.Name]+clones[p.Name] < p.Max {
				t.Fatalf("pool %s got runners beyond its share before all jobs of pool %s, which comes first", lower.Name, p.Name)
			}
		}
	}
}
