package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// version is a template that holds a version of the image that the pool of these tests follows.
func version(id int, v string) *template {
	return &template{
		id: id, cfg: proxmox.VMConfig{Name: runner.TemplateName("debian-12", v), AgentEnabled: true, Template: true},
		image: runner.Image{Name: "debian-12", Version: v, VMID: id},
	}
}

// following is a spec and a world whose pool follows an image with two promoted versions.
func following(jobs ...runner.Job) (Spec, observed) {
	s, o := testSpec(), world(jobs...)
	s.Pools[0].Template, s.Pools[0].Image = "", "debian-12"
	newest := version(9101, "20261124-1300")
	newest.older = []template{*version(9100, "20261123-1200")}
	o.supply.templates = map[string]*template{"image debian-12": newest}
	return s, o
}

func TestPoolIsClonedFromTheNewestVersionThatServes(t *testing.T) {
	hour := noon.Add(time.Hour)
	for _, tc := range []struct {
		name     string
		newest   func(*template)
		circuits map[int]circuit
		cordons  map[int]time.Time // until when templates are left alone that can't be cloned
		from     []int             // the templates of the planned clones, of three jobs
		code     Code              // of the last job
		words    string
	}{
		{name: "all well", from: []int{9101, 9101, 9101}, code: WaitRunner},
		{name: "newest locked", newest: func(t *template) { t.problem = "it is locked (backup)" }, from: []int{9100, 9100, 9100}, code: WaitRunner},
		{name: "newest failed once", circuits: map[int]circuit{9101: {fault: faultUnfit, failures: 1, next: hour}}, from: []int{9101, 9101, 9101}, code: WaitRunner},
		{name: "newest unfit", circuits: map[int]circuit{9101: {fault: faultUnfit, failures: 2, next: hour}}, from: []int{9100, 9100, 9100}, code: WaitRunner},
		{name: "newest unfit, its trial due", circuits: map[int]circuit{9101: {fault: faultUnfit, failures: 2, next: noon}}, from: []int{9101}, code: WaitUnfit, words: "nothing is cloned from image debian-12 version 20261124-1300 (VM 9101)"},
		{name: "newest can't be cloned", cordons: map[int]time.Time{9101: hour}, from: []int{9100, 9100, 9100}, code: WaitRunner},
		{name: "newest couldn't be cloned and is tried again", cordons: map[int]time.Time{9101: noon}, from: []int{9101, 9100, 9100}, code: WaitRunner},
		{name: "none can be cloned", cordons: map[int]time.Time{9100: hour, 9101: hour}, code: WaitCordoned, words: "template 9101 is cordoned until 13:00:00 after 3 failed clones: base gone"},
		{
			name: "both unfit", circuits: map[int]circuit{
				9100: {fault: faultUnfit, failures: 2, next: hour}, 9101: {fault: faultUnfit, failures: 2, next: hour, why: "no listener"},
			}, code: WaitUnfit, words: "no listener; run: mayfly image build debian-12; one more runner is tried in 1h0m0s",
		},
		{
			name: "newest deprecated: an older one holds no newer runner", circuits: map[int]circuit{9101: {fault: faultDeprecated, failures: 1, next: hour, why: "GitHub refuses it"}},
			code: WaitDeprecated, words: "GitHub refuses it; run: mayfly image build debian-12; one more runner is tried in 1h0m0s, or when the template changes",
		},
		{
			name: "deprecated, its trial due", circuits: map[int]circuit{9101: {fault: faultDeprecated, failures: 1, next: noon, why: "GitHub refuses it"}},
			from: []int{9101}, code: WaitDeprecated, words: "GitHub refuses it",
		},
		{
			name: "none promoted", newest: func(t *template) {
				*t = template{code: WaitNoTemplate, problem: `image "debian-12" has no promoted template`}
			}, code: WaitNoTemplate, words: "no promoted template",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, o := following(job(1, "linux"), job(2, "linux"), job(3, "linux"))
			newest := o.supply.templates["image debian-12"]
			if tc.newest != nil {
				tc.newest(newest)
			}
			for id, c := range tc.circuits {
				o.ledger.circuits[id] = c
			}
			for id, until := range tc.cordons {
				o.ledger.cordons[templateThing("pve1", &template{id: id})] = cordon{failures: 3, stage: StageClone, since: noon.Add(-time.Minute), until: until, why: "base gone"}
			}
			d := plan(s, o, noon)
			var from []int
			for _, a := range d.actions {
				if a.step == StepClone {
					from = append(from, a.template.id)
				}
			}
			if fmt.Sprint(from) != fmt.Sprint(tc.from) {
				t.Errorf("cloned from %v, want %v", from, tc.from)
			}
			last := d.waiting[len(d.waiting)-1].Reason
			if last.Code != tc.code || !strings.Contains(last.Text, tc.words) {
				t.Errorf("the last job waits for %+v, want %s with %q", last, tc.code, tc.words)
			}
		})
	}
}

func TestRunnersOfATemplateAtFaultGoUnlessTheyHaveAnIdentity(t *testing.T) {
	s, o := following(job(1, "linux"), job(2, "linux"), job(3, "linux"), job(4, "linux"))
	for id, state := range map[int]runner.State{200: runner.Configuring, 201: runner.Booting, 202: runner.Idle, 203: runner.Busy} {
		o.with(id, "ep", state).template = 9101
	}
	o.with(204, "ep", runner.Booting).template = 9100
	trial := o.with(205, "ep", runner.Booting)
	trial.template, trial.created = 9101, noon
	o.ledger.circuits[9101] = circuit{fault: faultDeprecated, failures: 1, since: noon.Add(-10 * time.Second), next: noon.Add(time.Hour), why: "GitHub refuses it"}
	o.supply.at = noon
	gone := map[int]bool{}
	for _, a := range plan(s, o, noon).actions {
		if a.step == StepDestroy {
			gone[a.vmid] = true
			if a.force || a.why != "its template is at fault: GitHub refuses it" {
				t.Errorf("VM %d goes (by force: %t): %s", a.vmid, a.force, a.why)
			}
		}
	}
	if fmt.Sprint(gone) != fmt.Sprint(map[int]bool{200: true, 201: true}) {
		t.Errorf("VMs that go: %v, want 200 and 201", gone)
	}
}

func TestSilentRunnerIsAskedAndNoOther(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*entry, *template)
		asked  bool
	}{
		{"not online", func(*entry, *template) {}, true},
		{"its identity is fresh", func(e *entry, _ *template) { e.delivered = noon.Add(-3 * time.Second) }, false},
		{"online", func(e *entry, _ *template) { e.online = noon }, false},
		{"offline again", func(e *entry, _ *template) { e.online, e.offline = noon.Add(-20*time.Second), true }, true},
		{"busy, and offline for a moment", func(e *entry, _ *template) { e.online, e.busy, e.offline = noon, noon, true }, false},
		{"has said all", func(e *entry, _ *template) { e.finished = noon }, false},
		{"its agent is off", func(_ *entry, t *template) { t.cfg.AgentEnabled = false }, false},
		{"it has had its identity since before its start, and boots", func(e *entry, _ *template) { e.seeded, e.started = noon, noon.Add(-20*time.Second) }, false},
		{"it has, and should be up", func(e *entry, _ *template) { e.seeded, e.started = noon, noon.Add(-30*time.Second) }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, o := following(job(1, "linux"))
			e, newest := o.with(200, "ep", runner.Registering), o.supply.templates["image debian-12"]
			e.template = 9101
			tc.change(e, newest)
			asked := false
			for _, a := range plan(s, o, noon).actions {
				asked = asked || a.step == StepAsk && a.vmid == 200
			}
			if asked != tc.asked {
				t.Errorf("asked: %t, want %t", asked, tc.asked)
			}
		})
	}
}

// TestTemplateAtFaultCostsOneCloneAtMost draws what is known against two versions and how many jobs wait.
func TestTemplateAtFaultCostsOneCloneAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var jobs []runner.Job
		for id := range rapid.IntRange(0, 12).Draw(t, "jobs") {
			jobs = append(jobs, job(int64(id+1), "linux"))
		}
		s, o := following(jobs...)
		for _, id := range []int{9100, 9101} {
			if rapid.Bool().Draw(t, "known") {
				o.ledger.circuits[id] = circuit{
					fault:    rapid.SampledFrom([]fault{faultDeprecated, faultUnfit}).Draw(t, "fault"),
					failures: rapid.IntRange(1, 3).Draw(t, "failures"),
					next:     noon.Add(time.Duration(rapid.IntRange(-60, 60).Draw(t, "due")) * time.Minute),
				}
			}
		}
		made := map[int]int{}
		for _, a := range plan(s, o, noon).actions {
			if a.step == StepClone {
				made[a.template.id]++
			}
		}
		for id, n := range made {
			c := o.ledger.circuits[id]
			_, barred := c.bars(version(id, ""))
			switch {
			case barred && noon.Before(c.next):
				t.Fatalf("%d clones of VM %d, which is at fault until %s", n, id, c.next)
			case barred && n > 1:
				t.Fatalf("%d clones of VM %d, which is at fault, want one", n, id)
			}
		}
		if len(jobs) > 0 && len(o.ledger.circuits) == 0 && made[9101] == 0 {
			t.Fatal("no clone, though nothing is known against any version")
		}
	})
}

func TestPoolWhoseRunnersGotNoJobTriesOneAtATime(t *testing.T) {
	for _, tc := range []struct {
		name   string
		known  backoff
		alive  runner.State // of one more runner; "" for none
		clones int
	}{
		{"two failures", backoff{failures: 2, late: true}, "", 3},
		{"three failures", backoff{failures: 3, late: true}, "", 1},
		{"three failures, and one is on its way", backoff{failures: 3, late: true}, runner.Booting, 0},
		{"three failures, and one works", backoff{failures: 3, late: true}, runner.Busy, 1},
		{"three failures before any had its identity", backoff{failures: 3}, "", 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, o := following(job(1, "linux"), job(2, "linux"), job(3, "linux"))
			o.ledger.backoff["ep"] = tc.known
			if tc.alive != "" {
				o.with(200, "ep", tc.alive).job = 9
			}
			if got := clones(plan(s, o, noon)); got != tc.clones {
				t.Errorf("%d clones of 3 jobs, want %d", got, tc.clones)
			}
		})
	}
}
