package fleet

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mayfly/internal/demand"
	"mayfly/internal/github"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

var (
	noon   = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	target = runner.Target{Owner: "NREL", Repo: "EnergyPlus"}
)

func testPool(name string, labels ...string) runner.Pool {
	return runner.Pool{
		Name: name, Target: target, Labels: labels, GroupID: 1, NamePrefix: "ep", Template: "tmpl", Max: 4, RunnerUser: "runner",
		BootTimeout: 5 * time.Minute, IdleTimeout: 10 * time.Minute, MaxJobDuration: 6 * time.Hour,
	}
}

func testSpec(pools ...runner.Pool) Spec {
	if len(pools) == 0 {
		pools = []runner.Pool{testPool("ep", "linux", "x64")}
	}
	return Spec{
		Installation: "test", Node: "pve1", ResourcePool: "ci", VMIDs: Range{200, 219}, MaxRunners: 8, Pools: pools,
		PollInterval: 15 * time.Second, Timing: DefaultTiming(),
	}
}

func job(id int64, labels ...string) runner.Job {
	return runner.Job{
		ID: id, RunID: id, Name: fmt.Sprintf("job %d", id), Target: target, Labels: labels, Status: runner.JobQueued,
		CreatedAt: noon.Add(time.Duration(id) * time.Second),
	}
}

// world is an observation in which all is well.
func world(jobs ...runner.Job) observed {
	return observed{
		supply: supply{
			at: noon, vms: map[int]vm{}, taken: map[int]bool{},
			templates: map[string]*template{"tmpl": {id: 9000}},
		},
		queue:  queue{at: noon, registrations: map[runner.Target][]runner.Registration{target: {}}, failed: map[runner.Target]error{}, demand: demand.Reading{At: noon, Jobs: jobs}},
		ledger: newLedger(),
	}
}

// at gives the ledger a runner that got as far as the state.
func (o observed) with(vmid int, pool string, state runner.State) *entry {
	before := noon.Add(-30 * time.Second)
	e := &entry{vmid: vmid, name: fmt.Sprintf("ep-%010x", vmid), pool: pool, node: "pve1", created: before}
	o.ledger.runners[vmid] = e
	o.supply.vms[vmid] = vm{id: vmid, node: "pve1", name: e.name, status: "running", inPool: "ci"}
	switch state {
	case runner.Busy:
		e.busy = before
		fallthrough
	case runner.Idle:
		e.online = before
		fallthrough
	case runner.Registering:
		e.delivered, e.registration = before, int64(vmid)
		fallthrough
	case runner.Booting:
		e.started = before
		if !e.delivered.IsZero() {
			e.ready = before
		}
		fallthrough
	case runner.Configuring:
		e.configured = e.started
		e.cloned = before
	case runner.Cloning:
		e.op = &operation{step: StepClone, since: before, until: noon.Add(time.Minute)}
	case runner.Destroying:
		e.cloned = before
		e.op = &operation{step: StepDestroy, since: before, until: noon.Add(time.Minute)}
	case runner.Planned, runner.Draining, runner.Gone, runner.Failed:
		panic("no such start: " + state)
	}
	return e
}

func TestEveryWaitingJobHasItsReason(t *testing.T) {
	fits := job(1, "self-hosted", "Linux", "X64")
	for _, tc := range []struct {
		name   string
		spec   func(*Spec)
		world  func(*observed)
		job    runner.Job
		code   Code
		words  string
		clones int
	}{
		{name: "a runner is made", job: fits, code: WaitRunner, words: "is being made", clones: 1},
		{name: "no pool matches", job: job(1, "gpu"), code: WaitNoPool, words: "runs-on wants gpu, ep offers self-hosted,linux,x64"},
		{name: "no labels", job: job(1), code: WaitNoPool, words: "accept_unlabeled"},
		{name: "another repository", job: func() runner.Job { j := fits; j.Target.Repo = "Other"; return j }(), code: WaitNoPool, words: "none serves NREL/Other"},
		{
			name: "meant for GitHub's own", job: job(1, "ubuntu-22.04"), code: WaitNoPool, words: "left to GitHub's own runners: runs-on names only labels of theirs, ubuntu-22.04",
			spec: func(s *Spec) { s.Hosted, s.Pools[0].Labels = true, append(s.Pools[0].Labels, "ubuntu-22.04") },
		},
		{
			name: "GitHub has none of its own there", job: job(1, "ubuntu-22.04"), code: WaitRunner, words: "is being made", clones: 1,
			spec: func(s *Spec) { s.Pools[0].Labels = append(s.Pools[0].Labels, "ubuntu-22.04") },
		},
		{name: "runner on its way", job: fits, world: func(o *observed) { o.with(200, "ep", runner.Booting) }, code: WaitRunner, words: "is booting"},
		{name: "idle runner", job: fits, world: func(o *observed) { o.with(200, "ep", runner.Idle) }, code: WaitAssign, words: "GitHub assigns"},
		{name: "pool at max", job: fits, spec: func(s *Spec) { s.Pools[0].Max = 1 }, world: func(o *observed) { o.with(200, "ep", runner.Busy).job = 9 }, code: WaitPoolMax, words: "pool ep is at its max of 1"},
		{name: "total at max", job: fits, spec: func(s *Spec) { s.MaxRunners = 1 }, world: func(o *observed) { o.with(200, "ep", runner.Destroying) }, code: WaitTotalMax, words: "max of 1"},
		{name: "VMID range full", job: fits, spec: func(s *Spec) { s.VMIDs = Range{200, 200} }, world: func(o *observed) { o.supply.taken[200] = true }, code: WaitVMIDs, words: "no VMID of 200 to 200"},
		{name: "VMID rests", job: fits, spec: func(s *Spec) { s.VMIDs = Range{200, 200} }, world: func(o *observed) { o.ledger.lastUsed[200] = noon }, code: WaitVMIDs, words: "the next one in 15s"},
		{name: "template missing", job: fits, world: func(o *observed) { o.supply.templates["tmpl"] = &template{problem: "template is gone"} }, code: WaitTemplate, words: "template is gone"},
		{name: "Proxmox down", job: fits, world: func(o *observed) { o.supply.err = &proxmox.Error{Kind: proxmox.Unavailable, Message: "refused"} }, code: WaitProxmox, words: "refused"},
		{name: "Proxmox not read lately", job: fits, world: func(o *observed) { o.supply.at = noon.Add(-time.Minute) }, code: WaitProxmox, words: "1m0s ago"},
		{name: "GitHub down", job: fits, world: func(o *observed) { o.queue.failed[target] = errors.New("HTTP 502") }, code: WaitGitHub, words: "502"},
		{name: "GitHub limits", job: fits, world: func(o *observed) {
			o.queue.failed[target] = &github.Error{Kind: github.RateLimited, Message: "slow down"}
		}, code: WaitGitHubLimit, words: "slow down"},
		{name: "back-off", job: fits, world: func(o *observed) {
			o.ledger.backoff["ep"] = backoff{failures: 3, until: noon.Add(20 * time.Second), why: "storage full"}
		}, code: WaitBackoff, words: "waits 20s after 3 failures in a row: storage full"},
		{name: "queue is stale", job: fits, world: func(o *observed) { o.ledger.turn["ep"] = noon.Add(time.Second) }, code: WaitCheck, words: "reading the queue again"},
		{name: "clone of before the start", job: fits, world: func(o *observed) { o.supply.unsure = true }, code: WaitCloneLimit, words: "a clone of before the start"},
		{name: "stopping", job: fits, world: func(o *observed) { o.ending = stopping }, code: WaitStopping, words: "stopping"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, o := testSpec(), world(tc.job)
			if tc.spec != nil {
				tc.spec(&s)
			}
			if tc.world != nil {
				tc.world(&o)
			}
			d := plan(s, o, noon)
			if len(d.waiting) != 1 || d.waiting[0].Reason.Code != tc.code || !strings.Contains(d.waiting[0].Reason.Text, tc.words) {
				t.Errorf("waiting %+v, want code %s with %q", d.waiting, tc.code, tc.words)
			}
			if got := clones(d); got != tc.clones {
				t.Errorf("%d clones planned, want %d", got, tc.clones)
			}
		})
	}
}

func clones(d decision) int {
	n := 0
	for _, a := range d.actions {
		if a.step == StepClone {
			n++
		}
	}
	return n
}

func TestOneRunnerCoversOneJob(t *testing.T) {
	o := world(job(1, "linux"), job(2, "linux"), job(3, "linux"))
	o.with(200, "ep", runner.Booting)
	d := plan(testSpec(), o, noon)
	if got := clones(d); got != 2 {
		t.Errorf("%d clones for 3 jobs and 1 booting runner, want 2", got)
	}
}

func TestBusyRunnerWhoseJobIsNotKnownYetAnswersForOneJob(t *testing.T) {
	o := world(job(1, "linux"))
	e := o.with(200, "ep", runner.Busy)
	if got := clones(plan(testSpec(), o, noon)); got != 0 {
		t.Errorf("%d clones while the runner's job is unexplained, want 0", got)
	}
	e.job = 77
	if got := clones(plan(testSpec(), o, noon)); got != 1 {
		t.Errorf("%d clones when the runner is known to have another job, want 1", got)
	}
}

func TestJobGoesToThePoolWithTheFewestLabels(t *testing.T) {
	s := testSpec(testPool("big", "linux", "x64", "big"), testPool("any", "linux", "x64"))
	d := plan(s, world(job(1, "linux"), job(2, "big")), noon)
	if d.waiting[0].Pool != "any" || d.waiting[1].Pool != "big" {
		t.Errorf("jobs went to %q and %q, want any and big", d.waiting[0].Pool, d.waiting[1].Pool)
	}
}

func TestIdentityIsMintedOnlyForAJob(t *testing.T) {
	for _, tc := range []struct {
		name string
		jobs []runner.Job
		want int
	}{
		{"no job", nil, 0},
		{"one job", []runner.Job{job(1, "linux")}, 1},
		{"two jobs", []runner.Job{job(1, "linux"), job(2, "linux")}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := world(tc.jobs...)
			for _, id := range []int{200, 201} {
				e := o.with(id, "ep", runner.Booting)
				e.ready = noon
			}
			got := 0
			for _, a := range plan(testSpec(), o, noon).actions {
				if a.step == StepRegister {
					got++
				}
			}
			if got != tc.want {
				t.Errorf("%d identities planned, want %d", got, tc.want)
			}
		})
	}
}

func TestOnlyOneGuestOfANodeIsProbedAtATime(t *testing.T) {
	o := world(job(1, "linux"), job(2, "linux"))
	o.with(200, "ep", runner.Booting)
	o.with(201, "ep", runner.Booting)
	probes := 0
	for _, a := range plan(testSpec(), o, noon).actions {
		if a.step == StepProbe {
			probes++
		}
	}
	if probes != 1 {
		t.Errorf("%d probes planned, want 1", probes)
	}
}

func TestRunnerGoesWhenItsTimeIsOver(t *testing.T) {
	s := testSpec()
	p := s.Pools[0]
	for _, tc := range []struct {
		name  string
		state runner.State
		jobs  []runner.Job
		set   func(*entry)
		after time.Duration // how long after noon the runner must go; a moment before it must stay
		force bool
	}{
		{name: "boot", state: runner.Booting, set: func(e *entry) { e.started = noon }, after: p.BootTimeout, jobs: []runner.Job{job(1, "linux")}},
		{name: "never online", state: runner.Registering, set: func(e *entry) { e.delivered = noon }, after: s.Timing.Register, jobs: []runner.Job{job(1, "linux")}},
		{name: "idle", state: runner.Idle, set: func(e *entry) { e.online = noon }, after: p.IdleTimeout},
		{name: "job too long", state: runner.Busy, set: func(e *entry) { e.busy, e.job = noon, 5 }, after: p.MaxJobDuration, force: true},
		{name: "lingers", state: runner.Busy, set: func(e *entry) { e.finished = noon }, after: s.Timing.Linger, force: true},
		{name: "no job", state: runner.Booting, set: func(e *entry) { e.ready = noon }, after: p.IdleTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := world(tc.jobs...)
			tc.set(o.with(200, "ep", tc.state))
			end := noon.Add(tc.after)
			early := end.Add(-time.Millisecond)
			o.supply.at = early
			if d := plan(s, o, early); destroys(d) != nil {
				t.Fatalf("destroyed before its time: %+v", destroys(d))
			} else if !d.again.IsZero() && d.again.After(end) {
				t.Errorf("wakes at %s, after its time %s", d.again, end)
			}
			o.supply.at, o.queue.at = end, end
			got := destroys(plan(s, o, end))
			if got == nil {
				t.Fatal("not destroyed when its time was over")
			}
			if got.force != tc.force {
				t.Errorf("force %v, want %v", got.force, tc.force)
			}
		})
	}
}

func TestDrainingFleetLetsGoOfWhatHasNoJob(t *testing.T) {
	for state, goes := range map[runner.State]bool{
		runner.Cloning: false, runner.Configuring: true, runner.Booting: true, runner.Registering: false, runner.Idle: true,
		runner.Busy: false,
	} {
		o := world(job(1, "linux"))
		o.ending = draining
		o.with(200, "ep", state)
		d := plan(testSpec(), o, noon)
		if got := destroys(d) != nil; got != goes {
			t.Errorf("%s: destroyed %v, want %v", state, got, goes)
		}
		if clones(d) != 0 {
			t.Errorf("%s: a draining fleet clones", state)
		}
	}
}

func TestStoppingFleetStartsNothing(t *testing.T) {
	o := world(job(1, "linux"))
	o.ending = stopping
	for i, state := range []runner.State{runner.Configuring, runner.Booting, runner.Idle} {
		o.with(200+i, "ep", state)
	}
	o.with(210, "ep", runner.Busy).stopped = noon
	if d := plan(testSpec(), o, noon); len(d.actions) != 0 || len(d.waiting) != 1 {
		t.Errorf("planned %+v, waiting %+v", d.actions, d.waiting)
	}
}

func destroys(d decision) *action {
	for i, a := range d.actions {
		if a.step == StepDestroy {
			return &d.actions[i]
		}
	}
	return nil
}

func TestBusyRunnerIsNeverDestroyedBeforeItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, o := testSpec(), world()
		e := o.with(200, "ep", runner.Busy)
		e.job = rapid.Int64Range(0, 1).Draw(t, "job")
		if rapid.Bool().Draw(t, "registration missing") {
			e.missingSince, e.dropped = noon, rapid.Bool().Draw(t, "by id too")
		}
		if rapid.Bool().Draw(t, "pool gone") {
			e.pool = "was renamed"
			s.Pools[0].MaxJobDuration = 24 * time.Hour
		}
		now := noon.Add(time.Duration(rapid.Int64Range(0, int64(s.Pools[0].MaxJobDuration-time.Minute)).Draw(t, "later")))
		o.supply.at = now
		if a := destroys(plan(s, o, now)); a != nil {
			t.Fatalf("busy runner destroyed %s after its job began: %s", now.Sub(e.busy), a.why)
		}
	})
}

// TestPlanKeepsItsLimits draws whole fleets and checks what must hold for each plan.
func TestPlanKeepsItsLimits(t *testing.T) {
	states := []runner.State{
		runner.Cloning, runner.Configuring, runner.Booting, runner.Registering, runner.Idle, runner.Busy, runner.Destroying,
	}
	rapid.Check(t, func(t *rapid.T) {
		s := testSpec(testPool("a", "linux"), testPool("b", "linux", "big"))
		s.MaxRunners = rapid.IntRange(1, 6).Draw(t, "max runners")
		for i := range s.Pools {
			s.Pools[i].Max = rapid.IntRange(1, 4).Draw(t, "max")
		}
		o := world()
		for i := range rapid.IntRange(0, 6).Draw(t, "runners") {
			o.with(200+i, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "pool"), rapid.SampledFrom(states).Draw(t, "state"))
		}
		for i := range rapid.IntRange(0, 5).Draw(t, "strangers") {
			o.supply.taken[210+i] = true
		}
		for i := range rapid.IntRange(0, 12).Draw(t, "jobs") {
			o.queue.demand.Jobs = append(o.queue.demand.Jobs, job(int64(i+1), rapid.SampledFrom([]string{"linux", "big", "gpu"}).Draw(t, "label")))
		}
		d := plan(s, o, noon)

		if again := plan(s, o, noon); !cmp.Equal(d.waiting, again.waiting) || len(d.actions) != len(again.actions) {
			t.Fatal("the same observation gave two plans")
		}
		alive, total, tasks := map[string]int{}, 0, 0
		for _, e := range o.ledger.runners {
			alive[e.pool]++
			total++
			if e.op != nil {
				tasks++
			}
		}
		before := total
		used := map[int]bool{}
		for _, a := range d.actions {
			if a.step == StepClone || a.step == StepDestroy {
				tasks++
			}
			if a.step != StepClone {
				if o.ledger.runners[a.vmid] == nil {
					t.Fatalf("%s planned on VM %d, which is nobody of ours", a.step, a.vmid)
				}
				continue
			}
			alive[a.pool.Name]++
			total++
			if used[a.vmid] || o.supply.taken[a.vmid] || o.ledger.runners[a.vmid] != nil || !s.VMIDs.Contains(a.vmid) {
				t.Fatalf("clone planned to VMID %d, which is taken", a.vmid)
			}
			used[a.vmid] = true
		}
		if total > s.MaxRunners && total > before {
			t.Fatalf("%d runners planned, at most %d may be", total, s.MaxRunners)
		}
		for _, p := range s.Pools {
			if n := alive[p.Name]; n > p.Max && clonesOf(d, p.Name) > 0 {
				t.Fatalf("%d runners in pool %s, at most %d may be", n, p.Name, p.Max)
			}
		}
		if planned := len(d.actions) > 0; planned && tasks > max(maxStorageTasks, opsInFlight(o)) {
			t.Fatalf("%d clones and destroys at once, at most %d may be", tasks, maxStorageTasks)
		}
		waiting := 0
		for _, j := range o.queue.demand.Jobs {
			if j.Waiting() {
				waiting++
			}
		}
		if len(d.waiting) != waiting {
			t.Fatalf("%d jobs have a reason, %d wait", len(d.waiting), waiting)
		}
		if clones(d) > waiting {
			t.Fatalf("%d clones for %d jobs", clones(d), waiting)
		}
	})
}

func clonesOf(d decision, pool string) int {
	n := 0
	for _, a := range d.actions {
		if a.step == StepClone && a.pool.Name == pool {
			n++
		}
	}
	return n
}

func opsInFlight(o observed) int {
	n := 0
	for _, e := range o.ledger.runners {
		if e.op != nil {
			n++
		}
	}
	return n
}
