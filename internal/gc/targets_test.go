package gc_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/gc"
	"mayfly/internal/runner"
)

// littered is a stage whose dispatcher died with a job of each of its pool's two repositories running, of which one
// has ended since, and with registrations of its own and of others in both.
func littered(t *testing.T) *stage {
	s := newStage(t)
	s.spec.Pools[0].More = []runner.Target{second}
	s.start()
	s.queue(1, 20*time.Minute)
	s.queueAt(second, 1, 20*time.Minute)
	s.queueAt(second, 1, 5*time.Hour)
	s.wait(5*time.Minute, "all run", func() bool { return s.working() == 3 })
	s.halt()
	for _, at := range s.spec.Pools[0].Targets() {
		s.registerAt(at, "energyplus-runner-00000000aa", "self-hosted", "energyplus", "linux", "x64", "mayfly-stage")
		s.registerAt(at, "energyplus-runner-00000000bb", "self-hosted", "energyplus", "linux", "x64", "mayfly-other")
		s.registerAt(at, "build-box", "self-hosted", "energyplus", "linux", "x64")
		s.registerAt(at, "mayfly-01", "self-hosted", "mayfly-stage")
		s.registerAt(at, "print-server", "self-hosted", "printer")
	}
	time.Sleep(2 * time.Hour)
	return s
}

// where lists the targets and names of findings.
func where(list []gc.Finding) []string {
	var words []string
	for _, f := range list {
		words = append(words, f.Target+" "+f.Name)
	}
	slices.Sort(words)
	return words
}

// left lists the registrations that are there, by repository and name, but for those of VMs.
func (s *stage) left() []string {
	var words []string
	for _, r := range s.gh.Runners() {
		if r.RemovedAt.IsZero() && !r.Busy {
			words = append(words, r.Scope+" "+r.Name)
		}
	}
	slices.Sort(words)
	return words
}

func TestEveryRepositoryOfAPoolIsCleanedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := littered(t)
		list := s.collect(gc.Request{})
		if got, want := where(of(list, gc.Registration, gc.Removed)), []string{"NREL/EnergyPlus energyplus-runner-00000000aa", "NREL/OpenStudio energyplus-runner-00000000aa"}; !slices.Equal(got, want) {
			t.Errorf("removed %q, want %q", got, want)
		}
		if got, want := where(of(list, gc.Rogue, gc.Shown)), []string{
			"NREL/EnergyPlus build-box", "NREL/EnergyPlus energyplus-runner-00000000bb", "NREL/OpenStudio build-box", "NREL/OpenStudio energyplus-runner-00000000bb",
		}; !slices.Equal(got, want) {
			t.Errorf("told of %q, want %q", got, want)
		}
		if gone := of(list, gc.VM, gc.Removed); len(gone) != 2 || s.working() != 1 || len(s.ours()) != 1 {
			t.Errorf("VMs removed: %+v; %d jobs run in %d VMs, want one in one", gone, s.working(), len(s.ours()))
		}
		if left := s.left(); len(left) != 8 || slices.ContainsFunc(left, func(w string) bool { return strings.HasSuffix(w, "aa") }) {
			t.Errorf("left: %q, want four in each", left)
		}
		s.untouched()
	})
}

// TestOneRepositoryThatCantBeReadKeepsNothingElse has one of the two be unreadable, then both.
func TestOneRepositoryThatCantBeReadKeepsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := littered(t)
		s.refuses = []runner.Target{second}
		list, err := s.tryCollect(gc.Request{})
		if err == nil || !strings.Contains(err.Error(), "read registrations of NREL/OpenStudio: ") || strings.Contains(err.Error(), "EnergyPlus") {
			t.Errorf("error %v, want one of NREL/OpenStudio alone", err)
		}
		if got, want := where(of(list, gc.Registration, gc.Removed)), []string{"NREL/EnergyPlus energyplus-runner-00000000aa"}; !slices.Equal(got, want) {
			t.Errorf("removed %q, want %q", got, want)
		}
		kept := of(list, gc.VM, gc.Kept)
		if len(kept) != 1 || s.working() != 1 {
			t.Errorf("kept %+v, want the VM that may have a job, and has", kept)
		}
		gone := of(list, gc.VM, gc.Removed)
		if len(gone) != 2 || !slices.ContainsFunc(gone, func(f gc.Finding) bool { return strings.Contains(f.Detail, second.String()) }) {
			t.Errorf("removed %+v, want both that are powered off, and a word on the registration", gone)
		}
		s.refuses = s.spec.Targets()
		if _, err := s.tryCollect(gc.Request{}); err == nil || !strings.Contains(err.Error(), "of NREL/EnergyPlus: ") || !strings.Contains(err.Error(), "of NREL/OpenStudio: ") {
			t.Errorf("error %v, want one of both", err)
		}
		s.untouched()
	})
}
