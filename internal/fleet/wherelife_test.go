package fleet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
)

// otherRepository is the second of a pool's.
const otherRepository = "NREL/OpenStudio"

// twoRepositories makes the bench's pool serve another repository, too.
func twoRepositories(s *setup) {
	s.gh.Repositories = []gh.RepositorySpec{{Name: otherRepository}}
	s.spec.Pools[0].More = []runner.Target{{Owner: "NREL", Repo: "OpenStudio"}}
}

// queueAt queues jobs in the other repository.
func (b *bench) queueAt(count int, lasting time.Duration) []int64 {
	return b.gh.AddJobs(gh.JobSpec{Count: count, Labels: []string{"self-hosted", "Linux", "energyplus"}, Duration: lasting, Repository: otherRepository})
}

func TestAPoolServesSeveralRepositories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, twoRepositories)
		b.queue(3, 2*time.Minute)
		b.queueAt(3, 2*time.Minute)
		b.served(time.Hour)
		b.succeeded()
		if made := len(b.gh.Runners()); made != 6 {
			t.Errorf("%d runners were registered for 6 jobs", made)
		}
	})
}

func TestAPoolWithRoomForOneServesRepositoriesInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			twoRepositories(s)
			s.spec.Pools[0].Max, s.spec.Pools[0].MinIdle = 1, 1
		})
		idle := func() bool { return len(b.runners()) == 1 && b.controller.Status().Pools[0].Idle == 1 }
		b.until(10*time.Minute, "an idle runner of the first repository", idle)
		b.queueAt(1, time.Minute) // which that runner can't take
		b.until(20*time.Minute, "the job of the other repository is done", b.done)
		b.until(10*time.Minute, "an idle runner again", idle)
		b.queue(1, time.Minute)
		b.until(20*time.Minute, "the job of the first repository is done", b.done)
		b.succeeded()
		if most := b.mostAtOnce(); most != 1 {
			t.Errorf("%d VMs at once, want 1", most)
		}
	})
}

func TestARestartKeepsRunnersOfBothRepositories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, twoRepositories)
		b.queue(2, 20*time.Minute)
		b.queueAt(2, 20*time.Minute)
		b.until(10*time.Minute, "all jobs run", func() bool { return count(b, "in_progress") == 4 })
		b.halt()
		b.start("")
		b.served(2 * time.Hour)
		b.succeeded()
	})
}
