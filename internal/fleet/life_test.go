package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

func TestQueuedJobGetsItsOwnVMAndBothAreGoneAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.queue(1, time.Minute)
		b.served(10 * time.Minute)
		jobs := b.gh.Jobs()
		if jobs[0].Conclusion != "success" || jobs[0].Starts != 1 {
			t.Errorf("job %+v", jobs[0])
		}
		vms := 0
		for _, v := range b.pve.VMs() {
			if v.Decoy == "" && !v.Template {
				vms++
				if v.Name != jobs[0].RunnerName {
					t.Errorf("VM %s, but the job ran on %s", v.Name, jobs[0].RunnerName)
				}
			}
		}
		if vms != 1 {
			t.Errorf("%d VMs for one job", vms)
		}
	})
}

func TestManyJobsKeepTheLimitAndGetAVMEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.MaxRunners = 5 })
		b.queue(40, 2*time.Minute)
		b.served(3 * time.Hour)
		if most := b.mostAtOnce(); most > 5 || most < 4 {
			t.Errorf("%d VMs at once, want up to 5", most)
		}
		for _, j := range b.gh.Jobs() {
			if j.Conclusion != "success" {
				t.Errorf("job %+v", j)
			}
		}
	})
}

func TestOneRunnerAtATimeIsNeverTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.MaxRunners = 1 })
		b.queue(6, time.Minute)
		b.served(time.Hour)
		if most := b.mostAtOnce(); most != 1 {
			t.Errorf("%d VMs at once, want 1", most)
		}
	})
}

// TestRestartsLoseNoRunnerAndNoJob ends the controller at random moments, as a crash does, and starts another.
func TestRestartsLoseNoRunnerAndNoJob(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) { s.guests.Seed, s.pve.Seed, s.gh.Seed = seed, seed, seed })
				random := rand.New(rand.NewPCG(seed, 1))
				b.queue(12, 3*time.Minute)
				for range 15 {
					time.Sleep(time.Duration(random.Int64N(int64(40 * time.Second))))
					b.halt()
					time.Sleep(time.Duration(random.Int64N(int64(5 * time.Second))))
					b.start("")
				}
				b.served(2 * time.Hour)
				for _, j := range b.gh.Jobs() {
					if j.Conclusion != "success" {
						t.Errorf("job %d ended as %s: %s", j.ID, j.Conclusion, j.Reason)
					}
				}
			})
		})
	}
}

// TestNothingIsBegunAfterTheEnd: a machine that was suspended wakes with something to do and the end of its context, both at once.
func TestNothingIsBegunAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.halt()
		var begun atomic.Int32
		b.sequence = fleet.Sequence{Settle: func() { b.stop() }, Turn: func(context.Context, string) { begun.Add(1) }}
		b.start("")
		b.halt()
		if n := begun.Load(); n > 0 {
			t.Errorf("%d steps were begun after the end", n)
		}
	})
}

func TestJobsWaitOutAnOutageWithTheirReason(t *testing.T) {
	for _, tc := range []struct {
		name  string
		begin func(*bench)
		end   func(*bench)
		code  fleet.Code
		words string
	}{
		{
			"Proxmox refuses connections", func(b *bench) { b.toProxmox.cut.Store(true) }, func(b *bench) { b.toProxmox.cut.Store(false) },
			fleet.WaitProxmox, "proxmox: ",
		},
		{
			"GitHub answers 502", func(b *bench) { b.toGitHub.status.Store(http.StatusBadGateway) }, func(b *bench) { b.toGitHub.status.Store(0) },
			fleet.WaitGitHub, "github: ",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) { s.spec.MaxRunners = 2 })
				b.queue(6, 4*time.Minute)
				b.until(5*time.Minute, "two jobs run", func() bool { return count(b, "in_progress") == 2 })
				tc.begin(b)
				b.until(10*time.Minute, "the reason is told", func() bool { return b.reason() == tc.code })
				told := func(reason string) bool { return strings.HasPrefix(reason, tc.words) }
				if s := b.controller.Status(); s.Ready || !slices.ContainsFunc(s.Reasons, told) {
					t.Errorf("ready %v, reasons %q", s.Ready, s.Reasons)
				}
				time.Sleep(30 * time.Minute)
				tc.end(b)
				b.served(time.Hour)
				if !strings.Contains(b.log.String(), string(tc.code)) {
					t.Errorf("the log doesn't name %s", tc.code)
				}
				if s := b.controller.Status(); !s.Ready {
					t.Errorf("not ready afterwards: %q", s.Reasons)
				}
			})
		})
	}
}

// TestLooksGoOnAsEverAfterAnOutage: what Proxmox shows is as fresh as ever right after it answers again.
func TestLooksGoOnAsEverAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.queue(2, time.Hour)
		b.until(5*time.Minute, "the jobs run", func() bool { return count(b, "in_progress") == 2 })
		b.toProxmox.cut.Store(true)
		time.Sleep(20 * time.Minute)
		b.toProxmox.cut.Store(false)
		b.until(time.Minute, "Proxmox answers", func() bool { return b.controller.Status().Ready })
		back := time.Now()
		time.Sleep(10 * time.Second)
		looks := 0
		for _, r := range b.pve.Requests() {
			if strings.Contains(r.Path, "/cluster/resources") && r.At.After(back) {
				looks++
			}
		}
		if looks < 4 {
			t.Errorf("%d looks in 10 s after the outage, want one every 2 s", looks)
		}
		b.served(2 * time.Hour)
	})
}

func count(b *bench, status string) int {
	n := 0
	for _, j := range b.gh.Jobs() {
		if j.Status == status {
			n++
		}
	}
	return n
}

func TestWaitingJobSaysWhy(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*setup)
		labels []string
		jobs   int
		code   fleet.Code
	}{
		{"no pool", nil, []string{"self-hosted", "gpu"}, 1, fleet.WaitNoPool},
		{"pool at max", func(s *setup) { s.spec.Pools[0].Max = 1 }, []string{"linux"}, 2, fleet.WaitPoolMax},
		{"total at max", func(s *setup) { s.spec.MaxRunners = 1 }, []string{"linux"}, 2, fleet.WaitTotalMax},
		{"VMIDs", func(s *setup) { s.spec.VMIDs = fleet.Range{Start: 300, End: 300} }, []string{"linux"}, 2, fleet.WaitVMIDs},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, tc.change)
				b.gh.AddJobs(gh.JobSpec{Count: tc.jobs, Labels: tc.labels, Duration: time.Hour})
				b.until(5*time.Minute, "the reason is told", func() bool { return b.reason() == tc.code })
				if !strings.Contains(b.log.String(), string(tc.code)) {
					t.Errorf("the log doesn't name %s", tc.code)
				}
			})
		})
	}
}

func TestRateLimitIsToldAndSatOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.queue(2, time.Hour)
		b.until(5*time.Minute, "both run", func() bool { return count(b, "in_progress") == 2 })
		b.gh.SetRateLimit(b.gh.Info().Token, 0)
		b.queue(1, time.Minute)
		b.until(5*time.Minute, "readiness says it", func() bool {
			s := b.controller.Status()
			return !s.Ready && strings.Contains(strings.Join(s.Reasons, " "), "budget")
		})
		b.served(4 * time.Hour)
	})
}

func TestStartEndsWithWhatNoWaitingMends(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*setup)
		words  string
	}{
		{"GitHub token wrong", func(s *setup) { s.token = "github_pat_wrong" }, "Bad credentials"},
		{"repository unknown", func(s *setup) { s.spec.Pools[0].Target.Repo = "Nowhere" }, "Nowhere"},
		{"template missing", func(s *setup) { s.spec.Pools[0].Template = "no-such-template" }, `template "no-such-template" isn't on node pve1`},
		{"node unknown", func(s *setup) { s.spec.Node = "pve3" }, `no node "pve3"; set PROXMOX_NODE (proxmox.node) to one of: pve1`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, tc.change)
				select {
				case err := <-b.ended:
					if err == nil || !strings.Contains(err.Error(), tc.words) || strings.Contains(err.Error(), "\n") {
						t.Errorf("ended with %v, want one line with %q", err, tc.words)
					}
					b.ended <- nil
				case <-time.After(5 * time.Minute):
					t.Error("still running")
				}
			})
		})
	}
}

func TestTemplateOnAnotherNodeOnlyEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.pve.Nodes = []string{"pve1", "pve2"} })
		b.halt()
		info := b.pve.Info()
		admin, err := proxmox.New(proxmox.Options{
			Endpoints: []string{"https://pve1:8006"}, TokenID: info.AdminTokenID, TokenSecret: runner.NewSecret(info.AdminTokenSecret),
			Transport: b.pve.RoundTripper(),
		})
		if err != nil {
			t.Fatal(err)
		}
		upid, err := admin.Delete(t.Context(), "pve2", 9001)
		if err != nil {
			t.Fatal(err)
		}
		if err := admin.WaitTask(t.Context(), upid); err != nil {
			t.Fatal(err)
		}
		b.spec.Node = "pve2"
		b.start("")
		const want = `template "ubuntu-2204-runner-template" is VM 9000 on node pve1, not on pve2`
		if err := <-b.ended; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ended with %v, want %q", err, want)
		}
		b.ended <- nil
	})
}

func TestProxmoxTokenRefusedAtStartEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.halt()
		b.toProxmox.status.Store(http.StatusUnauthorized)
		b.start("")
		err := <-b.ended
		if !errors.Is(err, proxmox.Unauthorized) {
			t.Errorf("ended with %v", err)
		}
		b.ended <- nil
	})
}

func TestTroubledGuestsAreReplaced(t *testing.T) {
	for _, trouble := range []world.Behaviour{
		world.MuteAgent, world.NeverRegisters, world.Ghost, world.DiesInJob, world.HangsAfterJob,
	} {
		t.Run(trouble.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var made atomic.Int32
				b := newBench(t, func(s *setup) {
					s.guests.Behave = func(pve.Machine) world.Behaviour {
						if made.Add(1) == 1 {
							return trouble
						}
						return world.Normal
					}
				})
				b.queue(1, time.Minute)
				b.served(8 * time.Hour)
			})
		})
	}
}

func TestDrainLetsJobsFinishAndEndsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) { s.spec.MaxRunners = 3 })
		running := b.queue(2, 10*time.Minute)
		b.until(5*time.Minute, "both run", func() bool { return count(b, "in_progress") == 2 })
		b.queue(4, time.Minute)
		b.controller.Drain()
		if err := <-b.ended; err != nil {
			t.Errorf("ended with %v", err)
		}
		b.ended <- nil
		if !b.empty() {
			t.Error("something is left after the drain")
		}
		for _, j := range b.gh.Jobs() {
			if ran := j.Conclusion == "success"; ran != (j.ID == running[0] || j.ID == running[1]) && j.Status != "queued" {
				t.Errorf("job %d is %s (%s)", j.ID, j.Status, j.Conclusion)
			}
		}
		b.check()
	})
}

func TestStopLeavesRunnersToTheNextStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		b.queue(4, 5*time.Minute)
		b.until(5*time.Minute, "a job runs and clones are under way", func() bool { return count(b, "in_progress") > 0 })
		asked := time.Now()
		b.controller.Stop()
		if err := <-b.ended; err != nil {
			t.Errorf("ended with %v", err)
		}
		b.ended <- nil
		if took := time.Since(asked); took > 20*time.Second {
			t.Errorf("took %s to stop", took)
		}
		b.start("")
		b.served(time.Hour)
	})
}
