package fleet

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/runner"
)

// TestKeysOfShapesStayAsTheyAre: they are in the markers of VMs that live, and a release that counts them anew replaces
// every warm runner there is.
func TestKeysOfShapesStayAsTheyAre(t *testing.T) {
	plain := testPool("ep", "linux")
	full := plain
	full.Cores, full.Memory, full.Disk, full.FullClone, full.Storage = 4, 8*runner.GiB, 64*runner.GiB, true, "fast"
	full.Jobs = runner.Policy{Repositories: []runner.Target{target}, Events: []string{"push"}, DenyForks: true}
	for _, tc := range []struct {
		name string
		pool runner.Pool
		spec Spec
		way  Way // of the template
		want string
	}{
		{name: "a plain pool", pool: plain, spec: Spec{Way: WayAgent}, want: "0ad9eee9215e"},
		{name: "all that a pool may say", pool: full, spec: Spec{Way: WayAgent}, want: "4dfd7f35abb7"},
		{name: "auto that comes to the agent", pool: plain, spec: Spec{Way: WayAuto, UserData: "a"}, way: WayAgent, want: "0ad9eee9215e"},
		{name: "a medium", pool: plain, spec: Spec{Way: WayISO, UserData: "a"}, want: "ac56cab20624"},
		{name: "auto that comes to nothing", pool: plain, spec: Spec{Way: WayAuto}},
	} {
		if got := tc.spec.shapeKey(tc.pool, &template{way: tc.way}); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestShapeIsWhatAJobWouldNotice: all of a pool that its VMs are made by is in the key, and nothing that they don't
// differ by.
func TestShapeIsWhatAJobWouldNotice(t *testing.T) {
	same, other := false, true
	for _, tc := range []struct {
		name   string
		change func(*Spec, *runner.Pool, *template)
		want   bool
	}{
		{"template", func(_ *Spec, p *runner.Pool, _ *template) { p.Template = "else" }, other},
		{"image", func(_ *Spec, p *runner.Pool, _ *template) { p.Image = "debian-12" }, other},
		{"cores", func(_ *Spec, p *runner.Pool, _ *template) { p.Cores = 2 }, other},
		{"memory", func(_ *Spec, p *runner.Pool, _ *template) { p.Memory = runner.GiB }, other},
		{"disk", func(_ *Spec, p *runner.Pool, _ *template) { p.Disk = 64 * runner.GiB }, other},
		{"full clone", func(_ *Spec, p *runner.Pool, _ *template) { p.FullClone = true }, other},
		{"storage", func(_ *Spec, p *runner.Pool, _ *template) { p.Storage = "fast" }, other},
		{"user", func(_ *Spec, p *runner.Pool, _ *template) { p.RunnerUser = "ci" }, other},
		{"forks", func(_ *Spec, p *runner.Pool, _ *template) { p.Jobs.DenyForks = true }, other},
		{"events", func(_ *Spec, p *runner.Pool, _ *template) { p.Jobs.Events = []string{"push"} }, other},
		{"repositories", func(_ *Spec, p *runner.Pool, _ *template) { p.Jobs.Repositories = []runner.Target{target} }, other},
		{"hand-off", func(s *Spec, _ *runner.Pool, _ *template) { s.Way = WayISO }, other},
		{"user-data", func(s *Spec, _ *runner.Pool, _ *template) { s.UserData = "b" }, same}, // the agent's way has none
		{"hand-off, chosen alike", func(s *Spec, _ *runner.Pool, t *template) { s.Way, t.way = WayAuto, WayAgent }, same},
		{"version of the image", func(_ *Spec, _ *runner.Pool, t *template) { t.id = 9101 }, same},
		{"name", func(_ *Spec, p *runner.Pool, _ *template) { p.Name = "else" }, same},
		{"limits", func(_ *Spec, p *runner.Pool, _ *template) { p.Max, p.Share, p.MinIdle = 9, 9, 9 }, same},
		{"deadlines", func(_ *Spec, p *runner.Pool, _ *template) { p.IdleTimeout, p.MaxJobDuration = 1, 1 }, same},
		{"labels", func(_ *Spec, p *runner.Pool, _ *template) { p.Labels = []string{"gpu"} }, same}, // those of registrations tell
		{"nodes", func(_ *Spec, p *runner.Pool, _ *template) { p.Nodes = []string{"pve2"} }, same},
	} {
		s, p, at := Spec{Way: WayAgent, UserData: "a"}, testPool("ep", "linux"), &template{id: 9100}
		before := s.shapeKey(p, at)
		tc.change(&s, &p, at)
		if got := s.shapeKey(p, at) != before; got != tc.want {
			t.Errorf("%s: another key: %t, want %t", tc.name, got, tc.want)
		}
	}
	s := Spec{Way: WayISO, UserData: "a"}
	before := s.shapeKey(testPool("ep"), &template{})
	if s.UserData = "b"; s.shapeKey(testPool("ep"), &template{}) == before {
		t.Error("other user-data on a medium: the same key")
	}
}

// TestMisfits: which runners go because their pool makes others now, and that none of them is an answer to a job.
func TestMisfits(t *testing.T) {
	spare := func(e *entry) { e.ready, e.delivered, e.online, e.registration = noon, time.Time{}, time.Time{}, 0 }
	for _, tc := range []struct {
		name   string
		state  runner.State
		shape  string
		such   func(*entry)
		world  func(*observed)
		goes   bool
		covers bool // it answers for the job
	}{
		{name: "idle", state: runner.Idle, shape: "old", goes: true},
		{name: "idle, of the same shape", state: runner.Idle, covers: true},
		{name: "a spare", state: runner.Idle, shape: "old", such: spare, goes: true},
		{name: "booting", state: runner.Booting, shape: "old", goes: true},
		{name: "registering", state: runner.Registering, shape: "old"}, // GitHub's answer tells when it is online
		{name: "on its medium", state: runner.Booting, shape: "old", such: func(e *entry) { e.seeded = noon }},
		{name: "being cloned", state: runner.Cloning, shape: "old"},
		{name: "busy", state: runner.Busy, shape: "old", such: func(e *entry) { e.job = 7 }},
		{name: "busy, as its guest says", state: runner.Idle, shape: "old", such: func(e *entry) { e.guestBusy = true }},
		{name: "not asked yet after a restart", state: runner.Booting, shape: "old", such: func(e *entry) { e.adopted = true }},
		{
			name: "after a restart, GitHub not read since", state: runner.Idle, shape: "old",
			such: func(e *entry) { spare(e); e.adopted, e.ready = true, noon.Add(time.Second) },
		},
		{
			name: "after a restart, GitHub not to be read", state: runner.Idle, shape: "old", such: func(e *entry) { spare(e); e.adopted = true },
			world: func(o *observed) { o.queue.failed[target] = errors.New("HTTP 502") },
		},
		{name: "after a restart, asked and read", state: runner.Idle, shape: "old", such: func(e *entry) { spare(e); e.adopted = true }, goes: true},
		{
			name: "when enough others have gone", state: runner.Idle, shape: "old", such: spare,
			world: func(o *observed) {
				for range minSweep {
					o.ledger.sweeps = append(o.ledger.sweeps, noon)
				}
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, o := testSpec(), world(job(1, "linux"))
			e := o.with(200, "ep", tc.state)
			if e.shape = tc.shape; tc.shape == "" {
				e.shape = s.shapeKey(s.Pools[0], o.supply.templates["tmpl"])
			}
			if tc.such != nil {
				tc.such(e)
			}
			if tc.world != nil {
				tc.world(&o)
			}
			d := plan(s, o, noon.Add(2*time.Second))
			made, goes := 0, false
			for _, a := range d.actions {
				switch a.step {
				case StepClone:
					made++
				case StepDestroy:
					goes = true
					if a.force || !a.sweeps || !a.unfit {
						t.Errorf("%+v; want it deregistered first, counted, and held against nobody", a)
					}
				case StepRegister, StepSeed:
					t.Errorf("it gets an identity: %+v", a)
				}
			}
			if goes != tc.goes {
				t.Errorf("goes: %t, want %t", goes, tc.goes)
			}
			if readable := o.queue.failed[target] == nil; readable && (made == 0) != tc.covers {
				t.Errorf("%d made in its stead", made)
			}
		})
	}
}

// TestLabelsThatARegistrationWears: config.sh adds some of its own; GitHub compares without regard to case.
func TestLabelsThatARegistrationWears(t *testing.T) {
	want := []string{"self-hosted", "linux", "energyplus", "mayfly-of-test"}
	for _, tc := range []struct {
		have []string
		ok   bool
	}{
		{want, true},
		{[]string{"self-hosted", "Linux", "X64", "EnergyPlus", "mayfly-of-test"}, true},
		{[]string{"self-hosted", "linux", "mayfly-of-test"}, false},
		{[]string{"self-hosted", "linux", "energyplus", "gpu", "mayfly-of-test"}, false},
		{nil, false},
	} {
		if got := wears(runner.Registration{Labels: tc.have}, want); got != tc.ok {
			t.Errorf("%v: %t", tc.have, got)
		}
	}
}

// fitting gives the runners the keys that their pools make now, but for those that are misfits.
func fitting(s Spec, o observed, misfits ...int) {
	for id, e := range o.ledger.runners {
		pool, _ := s.Pool(e.pool)
		e.shape = s.shapeKey(pool, o.supply.baseOf(e, pool))
		if slices.Contains(misfits, id) {
			e.shape = "old"
		}
	}
}

// stepsOf are what is planned for the runners, by VMID; 0 is for clones.
func stepsOf(d decision) map[int][]Step {
	list := map[int][]Step{}
	for _, a := range d.actions {
		id := a.vmid
		if a.step == StepClone {
			id = 0
		}
		list[id] = append(list[id], a.step)
	}
	return list
}

// TestMisfitsAreNotCountedAsWhatTheyCantBe: an idle one keeps no spare from its identity, and where room is wanted for
// other jobs it is the misfit that makes it.
func TestMisfitsAreNotCountedAsWhatTheyCantBe(t *testing.T) {
	spare := func(o observed, vmid int, pool string) {
		e := o.with(vmid, pool, runner.Booting)
		e.ready = e.started
	}
	second := runner.Target{Owner: "NREL", Repo: "OpenStudio"}
	for _, tc := range []struct {
		name  string
		jobs  []runner.Job
		world func(*Spec, observed)
		want  map[int][]Step
	}{
		{
			name: "an idle misfit and a spare that fits", jobs: []runner.Job{job(1, "linux")},
			world: func(s *Spec, o observed) {
				o.with(200, "ep", runner.Idle)
				spare(o, 201, "ep")
				fitting(*s, o, 200)
			},
			want: map[int][]Step{200: {StepDestroy}, 201: {StepRegister}},
		},
		{
			name: "a job of another pool wants room", jobs: []runner.Job{job(1, "gpu")},
			world: func(s *Spec, o observed) {
				s.Pools, s.MaxRunners = []runner.Pool{testPool("ep", "linux"), testPool("gpu", "gpu")}, 2
				s.Pools[0].BootedSpares = 1
				spare(o, 200, "ep")
				spare(o, 201, "ep")
				fitting(*s, o, 201)
			},
			want: map[int][]Step{201: {StepDestroy}},
		},
		{
			name: "a job of another repository of the pool wants room", jobs: []runner.Job{func() runner.Job { j := job(1, "linux"); j.Target = second; return j }()},
			world: func(s *Spec, o observed) {
				s.Pools[0].More, s.Pools[0].Max, s.Pools[0].MinIdle = []runner.Target{second}, 2, 1
				o.with(200, "ep", runner.Idle).target = target
				o.with(201, "ep", runner.Idle).target = target
				fitting(*s, o, 201)
			},
			want: map[int][]Step{201: {StepDestroy}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, o := testSpec(), world(tc.jobs...)
			o.queue.registrations[second] = nil
			tc.world(&s, o)
			if err := s.compile(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, stepsOf(plan(s, o, noon.Add(time.Second)))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWarmRunnerWithoutAKeyIsReplacedWhenAnotherIsUp: it is of an older Mayfly, and serves until then.
func TestWarmRunnerWithoutAKeyIsReplacedWhenAnotherIsUp(t *testing.T) {
	s, o := testSpec(), world()
	s.Pools[0].BootedSpares = 1
	if err := s.compile(); err != nil {
		t.Fatal(err)
	}
	old := o.with(200, "ep", runner.Booting)
	old.ready = old.started
	if got := stepsOf(plan(s, o, noon.Add(time.Second))); len(got[0]) != 1 || len(got[200]) != 0 {
		t.Errorf("alone: %v, want another made", got)
	}
	fresh := o.with(201, "ep", runner.Booting)
	fresh.ready = fresh.started
	fitting(s, o)
	old.shape = ""
	if got := stepsOf(plan(s, o, noon.Add(time.Second))); len(got[0]) != 0 || len(got[200]) != 1 || len(got[201]) != 0 {
		t.Errorf("beside another: %v, want it gone", got)
	}
	o.queue.demand.Jobs = []runner.Job{job(1, "linux"), job(2, "linux")}
	if got := stepsOf(plan(s, o, noon.Add(time.Second))); len(got[200]) != 1 || got[200][0] != StepRegister {
		t.Errorf("with two jobs: %v, want both to serve", got)
	}
}
