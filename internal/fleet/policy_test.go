package fleet

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"mayfly/internal/handoff"
	"mayfly/internal/runner"
)

// guarded is a pool whose policy forbids what it can.
func guarded(name string, labels ...string) runner.Pool {
	pool := testPool(name, labels...)
	pool.Jobs = runner.Policy{Repositories: []runner.Target{target}, Events: []string{"push", "pull_request"}, DenyForks: true}
	return pool
}

func forked(j runner.Job) runner.Job {
	j.Event, j.Fork, j.HeadRepository = "pull_request", true, "mallory/EnergyPlus"
	return j
}

func TestNoVMIsSpentOnAJobThatThePolicyForbids(t *testing.T) {
	labels := []string{"linux", "x64"}
	fits := job(1, "linux", "x64")
	elsewhere := guarded("ep", labels...)
	elsewhere.Jobs.Repositories = []runner.Target{{Owner: "NREL", Repo: "Other"}}
	open := testPool("forks", append(labels, "extra")...)
	for _, tc := range []struct {
		name   string
		pools  []runner.Pool
		job    runner.Job
		world  func(*observed)
		code   Code
		pool   string
		words  string
		clones int
	}{
		{name: "a push", pools: []runner.Pool{guarded("ep", labels...)}, job: func() runner.Job { j := fits; j.Event = "push"; return j }(), code: WaitRunner, pool: "ep", clones: 1},
		{name: "a job of which only labels are known", pools: []runner.Pool{guarded("ep", labels...)}, job: fits, code: WaitRunner, pool: "ep", clones: 1},
		{name: "an own pull request", pools: []runner.Pool{guarded("ep", labels...)}, job: func() runner.Job { j := fits; j.Event = "pull_request"; return j }(), code: WaitRunner, pool: "ep", clones: 1},
		{name: "a fork", pools: []runner.Pool{guarded("ep", labels...)}, job: forked(fits), code: WaitPolicyFork, pool: "ep", words: "by jobs.forks: it is of a fork (mallory/EnergyPlus; event pull_request)"},
		{name: "an event", pools: []runner.Pool{guarded("ep", labels...)}, job: func() runner.Job { j := fits; j.Event = "schedule"; return j }(), code: WaitPolicyEvent, pool: "ep", words: "only push, pull_request may"},
		{name: "a repository", pools: []runner.Pool{elsewhere}, job: fits, code: WaitPolicyRepository, pool: "ep", words: "only NREL/Other may"},
		{name: "a fork that another pool takes", pools: []runner.Pool{guarded("ep", labels...), open}, job: forked(fits), code: WaitRunner, pool: "forks", clones: 1},
		{name: "a fork that fits no pool", pools: []runner.Pool{guarded("ep", labels...)}, job: forked(job(1, "gpu")), code: WaitNoPool, words: "runs-on wants gpu"},
		{name: "the first by name of several", pools: []runner.Pool{guarded("b", labels...), guarded("a", labels...)}, job: forked(fits), code: WaitPolicyFork, pool: "a", words: "pool a"},
		{name: "a fork though an idle runner would take it", pools: []runner.Pool{guarded("ep", labels...)}, job: forked(fits), world: func(o *observed) { o.with(200, "ep", runner.Idle) }, code: WaitPolicyFork, pool: "ep"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, o := testSpec(tc.pools...), world(tc.job)
			if tc.world != nil {
				tc.world(&o)
			}
			d := plan(s, o, noon)
			if len(d.waiting) != 1 || d.waiting[0].Reason.Code != tc.code || d.waiting[0].Pool != tc.pool || !strings.Contains(d.waiting[0].Reason.Text, tc.words) {
				t.Errorf("waiting %+v, want %s in pool %q with %q", d.waiting, tc.code, tc.pool, tc.words)
			}
			if n := len(steps(d, StepClone)); n != tc.clones {
				t.Errorf("%d clones, want %d", n, tc.clones)
			}
		})
	}
}

func TestNoIdentityIsMintedForAJobThatThePolicyForbids(t *testing.T) {
	s, o := testSpec(guarded("ep", "linux")), world(forked(job(1, "linux")))
	e := o.with(200, "ep", runner.Booting)
	e.ready = noon
	if d := plan(s, o, noon); len(steps(d, StepRegister)) != 0 {
		t.Errorf("actions %+v", d.actions)
	}
	o.queue.demand.Jobs = append(o.queue.demand.Jobs, job(2, "linux"))
	if d := plan(s, o, noon); len(steps(d, StepRegister)) != 1 {
		t.Errorf("with an allowed job beside it: actions %+v", d.actions)
	}
}

func steps(d decision, step Step) (list []action) {
	for _, a := range d.actions {
		if a.step == step {
			list = append(list, a)
		}
	}
	return list
}

func TestAnImageThatCantKeepThePolicyIsToldOnce(t *testing.T) {
	var log bytes.Buffer
	c := &Controller{saidOnce: map[string]bool{}, log: slog.New(slog.NewTextHandler(&log, nil))}
	c.sayPolicy(guarded("ep", "linux"), handoff.Guest{Contract: 2})
	c.sayPolicy(testPool("ep", "linux"), handoff.Guest{Contract: 1})
	if log.Len() != 0 {
		t.Errorf("said without need: %s", log.String())
	}
	c.sayPolicy(guarded("ep", "linux"), handoff.Guest{Contract: 1})
	c.sayPolicy(guarded("ep", "linux"), handoff.Guest{Contract: 1})
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "rebuild the image") {
		t.Errorf("said %d times: %s", n, log.String())
	}
}
