package fleet_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/runner"
)

// reload gives the controller another spec, as `mayfly run` does.
func (b *bench) reload(change func(*fleet.Spec)) {
	b.t.Helper()
	b.spec.Pools = append([]runner.Pool(nil), b.spec.Pools...)
	change(&b.spec)
	if err := b.controller.Reload(b.t.Context(), b.spec); err != nil {
		b.t.Fatal(err)
	}
}

func TestReloadedLimitHoldsAtOnceAndDropsNoJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.MaxRunners = 1 })
		b.queue(6, 10*time.Minute)
		b.until(5*time.Minute, "one job runs", func() bool { return count(b, "in_progress") == 1 })
		b.reload(func(s *fleet.Spec) { s.MaxRunners = 4 })
		b.until(5*time.Minute, "four jobs run", func() bool { return count(b, "in_progress") == 4 })
		b.reload(func(s *fleet.Spec) { s.MaxRunners = 1 })
		b.served(2 * time.Hour)
		b.succeeded()
	})
}

func TestPoolThatIsRemovedDrainsAndItsJobsFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.queue(2, 20*time.Minute)
		b.until(5*time.Minute, "both jobs run", func() bool { return count(b, "in_progress") == 2 })
		b.reload(func(s *fleet.Spec) {
			s.Pools[0].Name, s.Pools[0].Target = "other", runner.Target{Owner: "NREL", Repo: "Elsewhere"}
			s.Pools[0].MaxJobDuration = time.Minute // which is for runners of the new pool
		})
		b.until(time.Hour, "both jobs are done and nothing is left", func() bool { return b.done() && b.empty() })
		b.succeeded()
	})
}

func TestRunnersKeepTheDeadlinesThatTheyWereMadeWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.queue(1, 30*time.Minute)
		b.until(5*time.Minute, "the job runs", func() bool { return count(b, "in_progress") == 1 })
		b.reload(func(s *fleet.Spec) { s.Pools[0].MaxJobDuration = 2 * time.Minute })
		b.served(2 * time.Hour)
		b.succeeded()
	})
}

func TestReloadRefusesWhatNeedsARestartAndChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.MaxRunners = 1 })
		other := b.spec
		other.Installation, other.VMIDs.End, other.MaxRunners = "another", 250, 4
		err := b.controller.Reload(t.Context(), other)
		if err == nil || !strings.Contains(err.Error(), "the VMID range, the installation can't change") {
			t.Errorf("error %v", err)
		}
		b.queue(3, time.Minute)
		b.served(time.Hour)
		if most := b.mostAtOnce(); most != 1 {
			t.Errorf("%d VMs at once, want 1 as before", most)
		}
	})
}
