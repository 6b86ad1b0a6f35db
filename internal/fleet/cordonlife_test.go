package fleet_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/sim/pve"
)

// TestNodeThatFailsAgainAndAgainIsLeftAlone: others serve all jobs, the node is tried by one VM at a time after ever longer
// waits, and has its part again when it is mended. The same with the storage that its VMs are on, which nobody may measure.
func TestNodeThatFailsAgainAndAgainIsLeftAlone(t *testing.T) {
	for _, tc := range []struct {
		name        string
		harm        func(*bench) (mend func())
		kind, words string
	}{
		{
			"clones refused", func(b *bench) func() {
				return b.arm(pve.FaultSpec{
					Match: pve.FaultMatch{Method: "POST", Path: "/nodes/pve2/qemu/*/clone", Count: -1},
					Kind:  "answer", Status: 500, Reason: "cluster not ready - no quorum?",
				})
			}, fleet.ThingNode, "no quorum",
		},
		{
			"storage full", func(b *bench) func() {
				fill := func(full bool) {
					if err := b.pve.FillStorage("pve2", "local-lvm", full); err != nil {
						b.t.Fatal(err)
					}
				}
				fill(true)
				return func() { fill(false) }
			}, fleet.ThingStorage, "reached threshold",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) {
					onNodes(s)
					s.spec.Placement.LinkedGrowth, s.spec.Placement.StorageReserve = 0, 0
				})
				mend := tc.harm(b)
				b.queue(8, 4*time.Minute)
				b.until(5*time.Minute, "eight jobs run", func() bool { return count(b, "in_progress") == 8 })
				on, cordons := livesOn(b), b.controller.Status().Cordons
				if on["pve2"] != 0 || len(cordons) != 1 {
					t.Fatalf("runners live on %v, cordoned %+v", on, cordons)
				}
				if k := cordons[0]; k.Kind != tc.kind || k.Node != "pve2" || !strings.Contains(k.Reason, tc.words) {
					t.Errorf("cordoned %+v, want the %s of pve2 for %q", k, tc.kind, tc.words)
				}
				if !strings.Contains(b.log.String(), "msg=cordoned kind="+tc.kind+" node=pve2") {
					t.Error("the log doesn't tell")
				}

				last, trials := cordons[0], 0
				for end := time.Now().Add(15 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
					if time.Now().Unix()%15 == 0 { // so many that it is always wanted
						b.queue(1, 30*time.Second)
					}
					now := b.controller.Status().Cordons
					if len(now) != 1 {
						t.Fatalf("cordoned %+v while nothing is mended", now)
					}
					if k := now[0]; k.Failures != last.Failures {
						if k.Failures != last.Failures+1 || k.Since.Before(last.Until) {
							t.Fatalf("%+v, then %+v: more than one VM tried it, or too early", last, k)
						}
						last = k
						trials++
					}
					if livesOn(b)["pve2"] > 1 {
						t.Fatalf("more than one VM tries it: %v", livesOn(b))
					}
				}
				if trials < 3 || trials > 6 { // after 30 s, 1, 2, 4, 8 min, each up to a quarter less
					t.Errorf("tried %d times in a quarter of an hour", trials)
				}

				mend()
				b.until(16*time.Minute, "the cordon is lifted", func() bool {
					if time.Now().Unix()%15 == 0 {
						b.queue(1, 30*time.Second)
					}
					return len(b.controller.Status().Cordons) == 0
				})
				b.queue(8, time.Minute)
				b.until(5*time.Minute, "it has its part again", func() bool { return livesOn(b)["pve2"] > 1 })
				b.served(time.Hour)
				b.succeeded()
				if !strings.Contains(b.log.String(), `msg="cordon lifted" kind=`+tc.kind) {
					t.Error("the log doesn't tell of the end")
				}
			})
		})
	}
}

// TestJobsWaitWhileEveryNodeIsCordoned: no node is better than another.
func TestJobsWaitWhileEveryNodeIsCordoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, onNodes)
		mend := b.arm(pve.FaultSpec{
			Match: pve.FaultMatch{Task: "qmstart", Count: -1}, Kind: "fail", Reason: "start failed: QEMU exited with code 1",
		})
		b.queue(6, time.Minute)
		b.until(10*time.Minute, "the reason is told", func() bool { return b.reason() == fleet.WaitCordoned })
		s := b.controller.Status()
		if s.Ready || !slices.ContainsFunc(s.Reasons, func(r string) bool { return strings.Contains(r, "pve3: cordoned") }) {
			t.Errorf("ready %v, reasons %q", s.Ready, s.Reasons)
		}
		mend()
		b.served(time.Hour)
		b.succeeded()
		if s := b.controller.Status(); !s.Ready || len(s.Cordons) != 0 {
			t.Errorf("ready %v, %q, cordoned %+v afterwards", s.Ready, s.Reasons, s.Cordons)
		}
	})
}
