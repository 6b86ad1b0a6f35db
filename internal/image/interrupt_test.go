package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

// TestAnInterruptAtAnyCallLeavesNothingAndKeepsTheOldVersion ends a build before each of its calls, one after the other:
// the call is still made, as one that is on its way is.
func TestAnInterruptAtAnyCallLeavesNothingAndKeepsTheOldVersion(t *testing.T) {
	total := 0
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.must(request())
		before := b.calls.count.Load()
		time.Sleep(24 * time.Hour)
		b.must(request())
		total = int(b.calls.count.Load() - before)
	})
	if total < 100 {
		t.Fatalf("a build has %d calls", total)
	}
	stopped := 0
	for at := 1; at <= total; at += step(at) {
		t.Run(fmt.Sprintf("call=%d", at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				old := b.must(request()).Version
				time.Sleep(24 * time.Hour)
				ctx, cancel := context.WithCancelCause(t.Context())
				first := int(b.calls.count.Load())
				b.calls.before = func(n int, _ *http.Request) {
					if n-first == at {
						cancel(errors.New("interrupted"))
					}
				}
				built, err := b.builder.Build(ctx, request())
				b.calls.before = nil
				cancel(nil)
				if err == nil { // too late: it was promoted
					b.wantTemplates(built.Version+"@pve1*", built.Version+"@pve2*", old+"@pve1", old+"@pve2")
				} else {
					stopped++
					if !strings.Contains(err.Error(), "interrupted") {
						t.Error(err)
					}
					b.wantTemplates(old+"@pve1*", old+"@pve2*")
				}
				b.wantClean()
			})
		})
	}
	if stopped == 0 {
		t.Error("no build was stopped")
	}
}

// step leaves out most of the calls that only look whether a guest has ended.
func step(at int) int {
	if at < 55 {
		return 1
	}
	return 13
}

// TestABuildThatWasKilledIsSweptByTheNext cuts the process off from Proxmox at a call: not even the clean-up gets through.
func TestABuildThatWasKilledIsSweptByTheNext(t *testing.T) {
	for _, at := range []int{12, 16, 20, 24, 28, 32, 36, 44, 60, 120, 200, 260, 300} {
		t.Run(fmt.Sprintf("call=%d", at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				old := b.must(request()).Version
				time.Sleep(24 * time.Hour)
				b.killedAt(at)
				time.Sleep(4 * time.Hour) // its guests power off, and its time is over
				built := b.must(request())
				b.wantTemplates(built.Version+"@pve1*", built.Version+"@pve2*", old+"@pve1", old+"@pve2")
				time.Sleep(12 * time.Hour) // then files that have lost their VM are old enough, too
				if _, err := b.builder.Prune(t.Context(), PruneRequest{}); err != nil {
					t.Fatal(err)
				}
				b.wantClean()
			})
		})
	}
}

// killedAt begins a build and lets so many of its calls through and then none, nor those of its clean-up.
func (b *bench) killedAt(n int) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	dead := &dying{next: b.calls.next, after: int32(n), died: cancel}
	b.calls.next = dead
	if _, err := b.builder.Build(ctx, request()); err == nil {
		b.t.Fatal("it was built")
	}
	b.calls.next = dead.next
}

// dying lets so many calls through and then none.
type dying struct {
	next  http.RoundTripper
	after int32
	seen  atomic.Int32
	died  func()
}

func (d *dying) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.seen.Add(1) > d.after {
		d.died()
		return nil, errors.New("killed")
	}
	return d.next.RoundTrip(r)
}

// TestADeadBuildOffForAMinuteIsSweptAtOnce is the restart right after a crash, once the guest has powered off.
func TestADeadBuildOffForAMinuteIsSweptAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.guests.scripts = 30 * time.Minute
		b.killedAt(90)
		b.wantFailure(t.Context(), request(), "another build of this image is under way", ", VM 900", "--take-over")
		time.Sleep(40 * time.Minute)
		b.guests.scripts = time.Minute
		built := b.must(request())
		b.wantTemplates(built.Version+"@pve1*", built.Version+"@pve2*")
		b.wantClean()
	})
}

func TestABuildThatLooksAliveIsTakenOverWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.guests.scripts = 30 * time.Minute
		b.killedAt(90)
		r := request()
		r.TakeOver = true
		b.must(r)
		b.wantClean()
	})
}

// TestLostRepliesChangeNothing loses the reply of every kind of order once.
func TestLostRepliesChangeNothing(t *testing.T) {
	for _, m := range []pve.FaultMatch{
		{Method: "POST", Path: "/nodes/*/storage/*/download-url"},
		{Method: "POST", Path: "/nodes/*/storage/*/upload"},
		{Method: "POST", Path: "/nodes/*/qemu"},
		{Method: "PUT", Path: "/nodes/*/qemu/*/config"},
		{Method: "PUT", Path: "/nodes/*/qemu/*/resize"},
		{Method: "POST", Path: "/nodes/*/qemu/*/status/start"},
		{Method: "DELETE", Path: "/nodes/*/storage/**"},
		{Method: "POST", Path: "/nodes/*/qemu/*/template"},
		{Method: "POST", Path: "/nodes/*/qemu/*/clone"},
		{Method: "POST", Path: "/nodes/*/qemu/*/status/stop"},
		{Method: "DELETE", Path: "/nodes/*/qemu/*"},
	} {
		t.Run(m.Method+strings.ReplaceAll(m.Path, "/", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				if _, err := b.pve.Fault(pve.FaultSpec{Match: m, Kind: "answer_after", Status: 596, Reason: "Connection timed out"}); err != nil {
					t.Fatal(err)
				}
				b.must(request())
				b.wantTemplates("20261125-1200@pve1*", "20261125-1200@pve2*")
				b.wantClean()
				if f := b.pve.Faults(); len(f) != 1 || f[0].Fired != 1 {
					t.Errorf("faults %+v", f)
				}
			})
		})
	}
}

// TestNothingOfOthersIsTouched puts VMs that look like ours among the images' VMIDs.
func TestNothingOfOthersIsTouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		old := time.Now().Add(-100 * time.Hour)
		marker := func(installation string, vmid int) string {
			return runner.BuildMarker{Installation: installation, Image: "debian-12", Version: "20260101-0000", VMID: vmid, Created: old}.Description()
		}
		image := runner.Image{Installation: "other", Name: "debian-12", Version: "20260101-0000", RunnerVersion: "2.300.0", Built: old, Contract: 1, VMID: 9013}
		others := map[int]string{9010: marker("other", 9010), 9011: marker("test", 9010), 9012: "", 9013: image.Description(), 150: marker("test", 150)}
		for id, description := range others {
			task, err := b.client.CreateVM(t.Context(), "pve1", proxmox.NewVM{VMID: id, Options: map[string]string{"description": description, "name": "theirs", "memory": "64"}})
			if err == nil {
				err = b.client.WaitTask(t.Context(), task)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.builder.Prune(t.Context(), PruneRequest{Keep: 1}); err != nil {
			t.Fatal(err)
		}
		b.must(request())
		for id, description := range others {
			cfg, err := b.client.VMConfig(t.Context(), "pve1", id)
			if err != nil || strings.TrimSpace(cfg.Description) != strings.TrimSpace(description) || len(cfg.Tags) != 0 {
				t.Errorf("VM %d: %+v, %v", id, cfg, err)
			}
		}
	})
}

func TestAVersionThatARunnerWasClonedFromStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.Keep = 1 })
		first := b.must(request())
		from := first.Templates[0]
		m := runner.Marker{Installation: "test", Runner: "r-0123456789", VMID: 250, Pool: "p", Created: time.Now(), Template: from.VMID}
		task, err := b.client.Clone(t.Context(), from.Node, from.VMID, proxmox.CloneOptions{NewID: 250, Name: m.Runner, Description: m.Description()})
		if err == nil {
			err = b.client.WaitTask(t.Context(), task)
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		second := b.must(request())
		b.wantTemplates(second.Version+"@pve1*", second.Version+"@pve2*", first.Version+"@"+from.Node)
		list, err := b.builder.List(t.Context())
		if err != nil || list[2].Runners != 1 || list[0].Runners != 0 {
			t.Errorf("%+v, %v", list, err)
		}
		dry, err := b.builder.Prune(t.Context(), PruneRequest{DryRun: true})
		if err != nil || len(dry) != 1 || dry[0].Gone || dry[0].Reason != "1 runners use it" {
			t.Errorf("%+v, %v", dry, err)
		}
		if task, err = b.client.Delete(t.Context(), from.Node, 250); err == nil {
			err = b.client.WaitTask(t.Context(), task)
		}
		if err != nil {
			t.Fatal(err)
		}
		if dry, err = b.builder.Prune(t.Context(), PruneRequest{DryRun: true}); err != nil || len(dry) != 1 || !dry[0].Gone {
			t.Errorf("%+v, %v", dry, err)
		}
		if _, err = b.builder.Prune(t.Context(), PruneRequest{}); err != nil {
			t.Fatal(err)
		}
		b.wantTemplates(second.Version+"@pve1*", second.Version+"@pve2*")
	})
}

// A build that finds the remains of one before it, and may not remove them, says so instead of trying for ever.
func TestASweepThatIsRefusedIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		b.calls.before = func(_ int, r *http.Request) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/status/start") {
				cancel()
			}
		}
		if _, err := b.pve.Fault(pve.FaultSpec{
			Match: pve.FaultMatch{Method: http.MethodPost, Path: "/nodes/*/qemu/*/status/stop", Count: -1}, Kind: "answer", Status: 403,
			Reason: "Permission check failed (/vms/9000, VM.PowerMgmt)",
		}); err != nil {
			t.Fatal(err)
		}
		b.wantFailure(ctx, request(), "VM.PowerMgmt on /pool/ci-templates")
		b.calls.before = nil
		time.Sleep(24 * time.Hour)
		began := time.Now()
		b.wantFailure(t.Context(), request(), "sweep what an earlier build left: ", "VM.PowerMgmt on /pool/ci-templates")
		if took := time.Since(began); took > cleanUpPatience {
			t.Errorf("it took %s", took)
		}
	})
}
