package fleet_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
)

// TestWhoseARegistrationIs goes through names and labels; the spec's installation is "bench", its pool's labels are
// energyplus, linux and x64.
func TestWhoseARegistrationIs(t *testing.T) {
	target := runner.Target{Owner: "NREL", Repo: "EnergyPlus"}
	s := fleet.Spec{Installation: "bench", Pools: []runner.Pool{{
		Name: "ep", Target: target, Labels: []string{"energyplus", "linux", "x64"}, NamePrefix: "energyplus-runner",
	}}}
	pools := []string{"self-hosted", "energyplus", "Linux", "X64"}
	for _, tc := range []struct {
		name, runner string
		target       runner.Target
		labels       []string
		ours         bool
		rogue        string // words; "" for none
	}{
		{"ours", "energyplus-runner-0123456789", target, append(pools, "mayfly-bench"), true, ""},
		{"ours, as GitHub may write it", "energyplus-runner-0123456789", target, append(pools, "Mayfly-Bench"), true, ""},
		{"another installation's", "energyplus-runner-0123456789", target, append(pools, "mayfly-other"), false, `of Mayfly's installation "other", and it takes jobs of pool ep`},
		{"another installation's, other labels", "energyplus-runner-0123456789", target, []string{"self-hosted", "mayfly-other"}, false, `of Mayfly's installation "other", though its name is like ours`},
		{"somebody's with our labels", "build-box", target, pools, false, "this installation didn't make it, and it takes jobs of pool ep"},
		{"somebody's with our labels and more", "build-box", target, append(pools, "gpu"), false, "takes jobs of pool ep"},
		{"somebody's with our name", "energyplus-runner-0123456789", target, []string{"self-hosted"}, false, "though its name is like ours"},
		{"somebody's with our label and a name of its own", "build-box", target, append(pools, "mayfly-bench"), false, "takes jobs of pool ep"},
		{"somebody's with fewer labels", "build-box", target, []string{"self-hosted", "linux", "x64"}, false, ""},
		{"somebody's in another repository", "energyplus-runner-0123456789", runner.Target{Owner: "NREL", Repo: "Other"}, append(pools, "mayfly-bench"), false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := runner.Registration{ID: 1, Name: tc.runner, Labels: tc.labels}
			if ours := s.Registered(tc.target, r); ours != tc.ours {
				t.Errorf("ours: %v, want %v", ours, tc.ours)
			}
			if why := s.Rogue(tc.target, r); (why == "") != (tc.rogue == "") || !strings.Contains(why, tc.rogue) {
				t.Errorf("rogue: %q, want %q", why, tc.rogue)
			}
		})
	}
}

// register makes a registration as somebody else would.
func (b *bench) register(name string, labels ...string) int64 {
	b.t.Helper()
	return b.registerAt(b.spec.Pools[0].Target, name, labels...)
}

func (b *bench) registerAt(t runner.Target, name string, labels ...string) int64 {
	b.t.Helper()
	c, err := github.New(github.Options{
		BaseURL: "https://github.example/api/v3", Token: runner.NewSecret(b.gh.Info().Token), Transport: b.gh.RoundTripper(),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	id, err := c.CreateJITConfig(b.t.Context(), t, name, labels, 1)
	if err != nil {
		b.t.Fatal(err)
	}
	return id.RegistrationID
}

// removedBy is by whom the registration was removed, and why; "" while it is there.
func (b *bench) removedBy(id int64) string {
	list := b.gh.Runners()
	return list[slices.IndexFunc(list, func(r gh.RunnerState) bool { return r.ID == id })].RemovedWhy
}

// TestOnlyOurOwnRegistrationsAreRemoved leaves registrations without a VM behind: ours goes after its grace, and of the
// others those that concern us are told of, and stay.
func TestOnlyOurOwnRegistrationsAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		ours := b.register("energyplus-runner-00000000aa", "self-hosted", "energyplus", "linux", "x64", "mayfly-bench")
		others := []int64{
			b.register("energyplus-runner-00000000bb", "self-hosted", "energyplus", "linux", "x64", "mayfly-other"),
			b.register("energyplus-runner-00000000cc", "self-hosted"),
			b.register("build-box", "self-hosted", "energyplus", "linux", "x64"),
		}
		b.register("print-server", "self-hosted", "printer")
		time.Sleep(9 * time.Minute)
		if why := b.removedBy(ours); why != "" {
			t.Errorf("it was removed within its grace: %s", why)
		}
		b.until(5*time.Minute, "ours is removed", func() bool { return b.removedBy(ours) == "removed by mayfly-dispatcher" })
		time.Sleep(3 * time.Hour)
		var told []int64
		for _, r := range b.controller.Status().Rogues {
			told = append(told, r.ID)
		}
		if !slices.Equal(told, others) {
			t.Errorf("told of %v, want %v", told, others)
		}
		for _, id := range others {
			if why := b.removedBy(id); why == "removed by mayfly-dispatcher" {
				t.Errorf("registration %d was removed, and isn't ours", id)
			}
		}
		if n := strings.Count(b.log.String(), `msg="rogue runner"`); n != len(others) {
			t.Errorf("the log tells %d times of %d", n, len(others))
		}
	})
}
