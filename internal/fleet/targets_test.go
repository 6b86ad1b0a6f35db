package fleet_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
)

// elsewhere is otherRepository as a target.
var elsewhere = runner.Target{Owner: "NREL", Repo: "OpenStudio"}

// failAt has GitHub refuse requests for a repository with that status; only those that have method where that isn't "".
func (b *bench) failAt(t runner.Target, method string, status int) {
	refuse := func(req *http.Request) int {
		if strings.Contains(req.URL.Path+"/", "/repos/"+t.String()+"/") && (method == "" || req.Method == method) {
			return status
		}
		return 0
	}
	b.toGitHub.refuse.Store(&refuse)
}

// mend ends what failAt began.
func (b *bench) mend() { b.toGitHub.refuse.Store(nil) }

// in is how many jobs of the repository have the status.
func (b *bench) in(repository, status string) int {
	n := 0
	for _, j := range b.gh.Jobs() {
		if j.Repository == repository && j.Status == status {
			n++
		}
	}
	return n
}

// alive is how many VMs of ours there are.
func (b *bench) alive() int {
	n := 0
	for _, v := range b.pve.VMs() {
		if v.Decoy == "" && !v.Template && v.Status != "destroyed" {
			n++
		}
	}
	return n
}

func TestRegistrationsOfBothRepositoriesAreLookedAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, twoRepositories)
		var ours, rogues []int64
		for _, at := range b.spec.Pools[0].Targets() {
			ours = append(ours, b.registerAt(at, "energyplus-runner-00000000aa", "self-hosted", "energyplus", "linux", "x64", "mayfly-bench"))
			rogues = append(
				rogues,
				b.registerAt(at, "energyplus-runner-00000000bb", "self-hosted", "energyplus", "linux", "x64", "mayfly-other"),
				b.registerAt(at, "build-box", "self-hosted", "energyplus", "linux", "x64"),
			)
			b.registerAt(at, "print-server", "self-hosted", "printer")
		}
		time.Sleep(20 * time.Minute)
		for _, r := range b.gh.Runners() {
			if removed := b.removedBy(r.ID) != ""; removed != slices.Contains(ours, r.ID) {
				t.Errorf("registration %s of %s: removed %v", r.Name, r.Scope, removed)
			}
		}
		var told []int64
		for _, r := range b.controller.Status().Rogues {
			told = append(told, r.ID)
		}
		slices.Sort(rogues)
		if !slices.Equal(told, rogues) {
			t.Errorf("told of %v, want %v", told, rogues)
		}
	})
}

func TestARepositoryThatAReloadAddsIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			twoRepositories(s)
			s.spec.Pools[0].More = nil
		})
		b.queue(1, 10*time.Minute)
		b.queueAt(2, time.Minute)
		b.until(5*time.Minute, "the job of the first runs", func() bool { return count(b, "in_progress") == 1 })
		b.reload(func(s *fleet.Spec) { s.Pools[0].More = []runner.Target{elsewhere} })
		b.until(5*time.Minute, "those of the added one are done", func() bool { return b.in(otherRepository, "completed") == 2 })
		b.served(time.Hour)
		b.succeeded()
	})
}

// TestARepositoryThatAReloadRemovesIsLeftInOrder has a runner of it busy, another idle, a third about to register, and a
// registration of a dead VM of ours.
func TestARepositoryThatAReloadRemovesIsLeftInOrder(t *testing.T) {
	for _, tc := range []struct {
		name  string
		first bool // it is the pool's first one that goes
		gone  bool // the whole pool goes
	}{{name: "the second"}, {name: "the first", first: true}, {name: "with its pool", gone: true}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) {
					twoRepositories(s)
					p := &s.spec.Pools[0]
					p.MinIdle = 1
					if !tc.first {
						p.Target, p.More[0] = p.More[0], p.Target
					}
					if tc.gone {
						p.NamePrefix = "leaving" // which no other pool has
						other := *p
						other.Name, other.Target, other.More, other.MinIdle, other.NamePrefix = "stays", p.More[0], nil, 0, "staying"
						p.More = nil
						s.spec.Pools = append(s.spec.Pools, other)
					}
				})
				leaves := b.spec.Pools[0].Target
				b.gh.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "Linux", "energyplus"}, Duration: time.Hour, Repository: leaves.String()})
				b.until(10*time.Minute, "its job runs and one is idle", func() bool {
					return count(b, "in_progress") == 1 && b.controller.Status().Pools[0].Idle == 1
				})
				orphan := b.registerAt(leaves, b.spec.Pools[0].NamePrefix+"-00000000aa", "self-hosted", "energyplus", "linux", "x64", "mayfly-bench")
				b.registerAt(leaves, "build-box", "self-hosted", "energyplus", "linux", "x64")
				b.until(time.Minute, "the rogue one is told of", func() bool { return len(b.controller.Status().Rogues) == 1 })
				b.reload(func(s *fleet.Spec) {
					if tc.gone {
						s.Pools = s.Pools[1:]
						return
					}
					s.Pools[0].Target, s.Pools[0].More, s.Pools[0].MinIdle = s.Pools[0].More[0], nil, 0
				})
				b.until(20*time.Minute, "the idle one is gone", func() bool { return b.alive() == 1 })
				b.until(20*time.Minute, "the dead one's registration is removed", func() bool { return b.removedBy(orphan) == "removed by mayfly-dispatcher" })
				b.until(2*time.Hour, "the job is done", b.done)
				b.until(10*time.Minute, "only the rogue one is left", func() bool { return b.alive() == 0 && b.gh.RunnersLeft() == 1 })
				b.succeeded()
				time.Sleep(time.Minute) // GitHub is read once more
				asked := len(b.gh.State().Requests)
				time.Sleep(10 * time.Minute)
				for _, r := range b.gh.State().Requests[asked:] {
					if strings.Contains(r.Path, "/"+leaves.String()+"/") {
						t.Fatalf("it is still asked for: %s %s", r.Method, r.Path)
					}
				}
				if told := b.controller.Status().Rogues; len(told) > 0 {
					t.Errorf("still told of: %+v", told)
				}
			})
		})
	}
}

// TestARepositoryThatLeavesWithItsTokenHoldsUpNobody takes the token's access away with the reload.
func TestARepositoryThatLeavesWithItsTokenHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			twoRepositories(s)
			s.spec.Pools[0].Max = 2
		})
		b.queueAt(1, 30*time.Minute)
		b.registerAt(elsewhere, "energyplus-runner-00000000aa", "self-hosted", "energyplus", "linux", "x64", "mayfly-bench")
		b.until(10*time.Minute, "its job runs", func() bool { return count(b, "in_progress") == 1 })
		b.failAt(elsewhere, "", http.StatusNotFound)
		b.reload(func(s *fleet.Spec) { s.Pools[0].More = nil })
		b.queue(2, time.Minute)
		b.until(10*time.Minute, "the others' jobs are done", func() bool { return b.in("NREL/EnergyPlus", "completed") == 2 })
		b.until(time.Hour, "its job is done", b.done)
		b.until(10*time.Minute, "its VM is gone", func() bool { return b.alive() == 0 })
		b.succeeded()
		time.Sleep(time.Hour)
		if s := b.controller.Status(); !s.Ready || len(s.Warnings) > 0 {
			t.Errorf("not ready for it: %q, warnings %q", s.Reasons, s.Warnings)
		}
	})
}

func TestARepositoryInTroubleHoldsUpNoOther(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status int
		words  string
	}{
		{"it is gone, or the token isn't for it", http.StatusNotFound, "GitHub answers 404"},
		{"the token may not", http.StatusForbidden, "GitHub answers 403"},
		{"it is refused", http.StatusUnauthorized, "GitHub answers 401"},
		{"an outage", http.StatusBadGateway, "GitHub answers 502"},
		{"it doesn't answer", hangs, "no good reply"},
	} {
		for _, at := range []runner.Target{{Owner: "NREL", Repo: "EnergyPlus"}, elsewhere} {
			t.Run(tc.name+", "+at.Repo, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { trouble(t, at, tc.status, tc.words) })
			})
		}
	}
}

// trouble has a repository fail while jobs of it wait and run.
func trouble(t *testing.T, at runner.Target, status int, words string) {
	b := newBench(t, func(s *setup) {
		twoRepositories(s)
		s.spec.Pools[0].BootedSpares = 1
	})
	other := b.spec.Pools[0].Target
	if at == other {
		other = elsewhere
	}
	add := func(t runner.Target, lasting time.Duration) {
		b.gh.AddJobs(gh.JobSpec{Labels: []string{"self-hosted", "Linux", "energyplus"}, Duration: lasting, Repository: t.String()})
	}
	add(at, 20*time.Minute)
	b.until(10*time.Minute, "its job runs", func() bool { return count(b, "in_progress") == 1 })
	add(at, time.Minute)
	time.Sleep(16 * time.Second) // it is seen
	b.failAt(at, "", status)
	time.Sleep(time.Minute)
	for i := range 3 {
		added := time.Now()
		add(other, time.Minute)
		b.until(10*time.Minute, "a job of the other is done", func() bool { return b.in(other.String(), "completed") == i+1 })
		if took := time.Since(added); status != hangs && took > 3*time.Minute {
			t.Errorf("job %d of the other took %s", i, took)
		}
		time.Sleep(5 * time.Minute)
	}
	s := b.controller.Status()
	if !s.Ready || !s.GitHub.OK {
		t.Errorf("not ready though the other is served: %q", s.Reasons)
	}
	told := strings.Join(s.Warnings, "\n")
	if !strings.Contains(told, at.String()) || !strings.Contains(told, words) || strings.Contains(told, other.String()) {
		t.Errorf("warnings: %q, want what is wrong with %s (%s)", s.Warnings, at, words)
	}
	if n := strings.Count(b.log.String(), `msg="github unreachable"`); n == 0 || n > 5 {
		t.Errorf("the log tells %d times of it", n)
	}
	b.mend()
	add(at, time.Minute)
	b.until(30*time.Minute, "all jobs are done", b.done)
	b.check()
	b.succeeded()
	if s := b.controller.Status(); len(s.Warnings) > 0 || !strings.Contains(b.log.String(), `msg="github answers"`) {
		t.Errorf("it isn't said that it is over: %q", s.Warnings)
	}
}

func TestRepositoriesThatHangHoldUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := []runner.Target{{Owner: "Slow", Repo: "one"}, {Owner: "Slow", Repo: "two"}, {Owner: "Slow", Repo: "three"}}
		b := newBench(t, func(s *setup) {
			p := &s.spec.Pools[0]
			p.Target, p.More = slow[0], slices.Concat(slow[1:], []runner.Target{p.Target})
		})
		hang := func(req *http.Request) int {
			if strings.Contains(req.URL.Path, "/Slow/") {
				return hangs
			}
			return 0
		}
		b.toGitHub.refuse.Store(&hang)
		b.queue(1, time.Minute)
		b.served(15 * time.Minute)
		b.succeeded()
	})
}

// TestARepositoryThatRefusesRunnersHoldsUpNoOther has a token that may read there and not register.
func TestARepositoryThatRefusesRunnersHoldsUpNoOther(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusBadGateway} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) {
					twoRepositories(s)
					s.spec.Pools[0].Max = 2
				})
				b.failAt(elsewhere, http.MethodPost, status)
				b.queueAt(2, time.Minute)
				time.Sleep(10 * time.Minute)
				for i := range 3 {
					added := time.Now()
					b.queue(1, time.Minute)
					b.until(10*time.Minute, "a job of the other is done", func() bool { return b.in("NREL/EnergyPlus", "completed") == i+1 })
					if took := time.Since(added); took > 4*time.Minute {
						t.Errorf("job %d of the other took %s", i, took)
					}
				}
				waiting := b.controller.Status().Waiting
				if len(waiting) != 2 || !strings.Contains(waiting[0].Reason.Text, otherRepository) {
					t.Errorf("waiting: %+v", waiting)
				}
				b.mend()
				b.served(time.Hour)
				b.succeeded()
			})
		})
	}
}

func TestAStartGoesOnWithTheRepositoriesThatAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, twoRepositories)
		b.halt()
		b.failAt(elsewhere, "", http.StatusNotFound)
		b.start("")
		b.queue(2, time.Minute)
		b.until(10*time.Minute, "the other's jobs are done", b.done)
		b.failAt(elsewhere, "", 0)
		b.queueAt(2, time.Minute)
		b.served(time.Hour)
		b.succeeded()
	})
}

// TestARestartWithoutARepositoryLetsItsJobsFinish takes it out with the dispatcher stopped, so that nobody knows of it.
func TestARestartWithoutARepositoryLetsItsJobsFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, twoRepositories)
		b.queueAt(2, 30*time.Minute)
		b.until(10*time.Minute, "its jobs run", func() bool { return count(b, "in_progress") == 2 })
		b.halt()
		b.spec.Pools = slices.Clone(b.spec.Pools)
		b.spec.Pools[0].More = nil
		b.start("")
		b.served(2 * time.Hour)
		b.succeeded()
	})
}
