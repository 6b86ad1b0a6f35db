package bootstrap_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mayfly/internal/bootstrap"
	"mayfly/internal/sim/pve"
)

func TestUpgradeCarriesAddressAndStateOverAndGoesBackAndForth(t *testing.T) {
	bubble(t, pve.Options{}, func(t *testing.T, w *world) {
		s := w.spec()
		s.Container.VMID = 190
		w.mustRun(s)
		first := w.pve.State().Containers[0]
		for _, want := range []int{191, 190, 191} {
			s.Force = true
			if got := w.mustRun(s); got.VMID != want {
				t.Fatalf("%+v, want container %d", got, want)
			}
			w.checkClean(want)
			now := w.pve.State().Containers[0]
			if now.Config["net0"] != first.Config["net0"] || !strings.HasPrefix(now.Config["mp0"], "local-lvm:vm-") || now.Config["onboot"] != "1" || now.Pool != "ci" {
				t.Errorf("it was\n%v\nand is\n%v", first.Config, now.Config)
			}
		}
	})
}

// TestTwoDispatchersNeverRun watches the containers all through an upgrade, and one that is rolled back.
func TestTwoDispatchersNeverRun(t *testing.T) {
	for _, goesWell := range []bool{true, false} {
		bubble(t, pve.Options{}, func(t *testing.T, w *world) {
			s := w.spec()
			w.mustRun(s)
			if !goesWell {
				w.inside = func(ctx context.Context, w *world, c *pve.Container) {
					w.says(ctx, c.VMID, bootstrap.Word{Ready: c.VMID == 100, Reason: "no"})
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			var most, looks int
			done := make(chan struct{})
			go func() {
				defer close(done)
				for ctx.Err() == nil {
					_, running := w.containers()
					most, looks = max(most, len(running)), looks+1
					time.Sleep(50 * time.Millisecond)
				}
			}()
			s.Force = true
			_, err := w.run(t.Context(), s)
			cancel()
			<-done
			if (err == nil) != goesWell || most != 1 || looks < 100 {
				t.Errorf("%d at once in %d looks; %v", most, looks, err)
			}
		})
	}
}

// TestContainerThatIsNotOursIsLeftAlone has notes that nearly are those of a dispatcher's.
func TestContainerThatIsNotOursIsLeftAlone(t *testing.T) {
	bubble(t, pve.Options{}, func(t *testing.T, w *world) {
		s := w.spec()
		s.Installation = "other"
		w.mustRun(s)
		notes := w.pve.State().Containers[0].Config["description"]
		s.Installation = "ep"
		if got := w.mustRun(s); got.Replaced != 0 || got.VMID != 101 {
			t.Errorf("another installation's: %+v", got)
		}
		if err := w.admin().SetContainerConfig(t.Context(), "pve1", 101, map[string]string{"description": notes}, nil, ""); err != nil {
			t.Fatal(err)
		}
		if got := w.mustRun(s); got.Replaced != 0 || got.VMID != 102 {
			t.Errorf("copied notes: %+v", got)
		}
		w.checkClean(100, 101, 102)
	})
}

func TestContainerInHAStaysInHA(t *testing.T) {
	bubble(t, pve.Options{}, func(t *testing.T, w *world) {
		s := w.spec()
		s.HA = true
		got := w.mustRun(s)
		if got.ByHand != "ha-manager add ct:100 --state started" || w.pve.State().Containers[0].HA {
			t.Errorf("a token that may not: %+v", got)
		}
		if err := w.admin().AddContainerToHA(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		s.Force, s.HA = true, false
		if _, err := w.run(t.Context(), s); err == nil || !strings.Contains(err.Error(), "ha-manager remove ct:100") {
			t.Errorf("a token that may not: %v", err)
		}
		w.checkClean(100)
		admin := []string{w.pve.Info().AdminTokenID, w.pve.Info().AdminTokenSecret}
		w.inside = func(ctx context.Context, w *world, c *pve.Container) {
			w.says(ctx, c.VMID, bootstrap.Word{Ready: c.VMID == 100, Reason: "no"})
		}
		if _, err := w.run(t.Context(), s, admin...); err == nil || !w.pve.State().Containers[0].HA {
			t.Errorf("rolled back: %v, %+v", err, w.pve.State().Containers[0])
		}
		w.checkClean(100)
		w.inside = nil
		if _, err := w.run(t.Context(), s, admin...); err != nil || !w.pve.State().Containers[0].HA {
			t.Errorf("%v, %+v", err, w.pve.State().Containers[0])
		}
		w.checkClean(101)
	})
}

// serving demands that exactly one container is left, which serves and has the state.
func (w *world) serving() {
	w.t.Helper()
	all, _ := w.containers()
	if len(all) != 1 {
		w.t.Errorf("containers %v", all)
		return
	}
	w.checkClean(all...)
	c := w.pve.State().Containers[0]
	if !strings.HasPrefix(c.Config["mp0"], "local-lvm:vm-") || !strings.Contains(c.Config["tags"], bootstrap.TagReady) || c.Config["onboot"] != "1" {
		w.t.Errorf("container %d: %v", c.VMID, c.Config)
	}
}

// upgradeAtEachCall upgrades again and again, each time with something that happens at another call, until it was past
// the last one.
func upgradeAtEachCall(t *testing.T, do func(t *testing.T, w *world, s bootstrap.Spec, n int) (calls int)) {
	for n := 1; ; n++ {
		var calls int
		bubble(t, pve.Options{}, func(t *testing.T, w *world) {
			s := w.spec()
			w.mustRun(s)
			s.Force = true
			calls = do(t, w, s, n)
		})
		if t.Failed() {
			t.Fatalf("at call %d", n)
		}
		if calls < n {
			if n < 30 {
				t.Errorf("only %d calls", n)
			}
			return
		}
	}
}

func TestInterruptedUpgradeLeavesADispatcherThatServes(t *testing.T) {
	upgradeAtEachCall(t, func(t *testing.T, w *world, s bootstrap.Spec, n int) (calls int) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w.wrap = atCall(n, &calls, cancel)
		if _, err := w.run(ctx, s); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		w.serving()
		return calls
	})
}

func TestLostReplyInAnUpgradeIsMadeGood(t *testing.T) {
	upgradeAtEachCall(t, func(t *testing.T, w *world, s bootstrap.Spec, n int) (calls int) {
		w.wrap = func(to http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				resp, err := to.RoundTrip(r)
				if calls++; calls == n {
					return nil, errors.New("connection reset by peer")
				}
				return resp, err
			})
		}
		if _, err := w.run(t.Context(), s); err != nil {
			t.Error(err)
		}
		w.serving()
		return calls
	})
}

// TestUpgradeThatIsKilledIsMadeGoodByTheNext lets no call through after the nth, as if the process were gone. Without a
// word the next one waits for it to be over; told that it is, it goes on.
func TestUpgradeThatIsKilledIsMadeGoodByTheNext(t *testing.T) {
	upgradeAtEachCall(t, func(t *testing.T, w *world, s bootstrap.Spec, n int) (calls int) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w.wrap = func(to http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				if calls++; calls == n {
					defer cancel()
					return to.RoundTrip(r)
				}
				if calls > n {
					return nil, errors.New("the process is dead")
				}
				return to.RoundTrip(r)
			})
		}
		_, _ = w.run(ctx, s)
		w.wrap = nil
		time.Sleep(time.Minute) // until what was ordered is over
		s.TakeOver = true
		if _, err := w.run(t.Context(), s); err != nil {
			t.Error(err)
		}
		w.serving()
		return calls
	})
}

func TestAnotherBootstrapThatIsAtWorkIsNotSwept(t *testing.T) {
	bubble(t, pve.Options{}, func(t *testing.T, w *world) {
		s := w.spec()
		w.mustRun(s)
		s.Force = true
		w.inside = func(context.Context, *world, *pve.Container) {} // the first waits
		done := make(chan error)
		go func() {
			_, err := w.run(t.Context(), s)
			done <- err
		}()
		time.Sleep(time.Minute)
		other := &world{t: t, pve: w.pve, web: w.web}
		if _, err := other.run(t.Context(), s); err == nil || !strings.Contains(err.Error(), "at work on container 101") || !strings.Contains(err.Error(), "--take-over") {
			t.Error(err)
		}
		w.says(t.Context(), 101, bootstrap.Word{Ready: true})
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.serving()
	})
}

// TestRollBackThatProxmoxRefusesSaysWhatToDo holds the new container so that it can't be stopped.
func TestRollBackThatProxmoxRefusesSaysWhatToDo(t *testing.T) {
	bubble(t, pve.Options{}, func(t *testing.T, w *world) {
		s := w.spec()
		w.mustRun(s)
		s.Force = true
		w.inside = func(ctx context.Context, w *world, c *pve.Container) {
			w.says(ctx, c.VMID, bootstrap.Word{Ready: c.VMID == 100, Reason: "no"})
		}
		if _, err := w.pve.Fault(pve.FaultSpec{Match: pve.FaultMatch{Task: "vzstop", VMID: 101, Count: -1}, Kind: "fail", Reason: "command 'lxc-stop' failed"}); err != nil {
			t.Fatal(err)
		}
		_, err := w.run(t.Context(), s)
		const cure = "on node pve1 run: pct stop 101; pct move-volume 101 mp0 --target-vmid 100; pct start 100; pct destroy 101"
		if err == nil || !strings.Contains(err.Error(), "it can't start: no") || !strings.Contains(err.Error(), cure) {
			t.Errorf("%v", err)
		}
		if _, running := w.containers(); !slices.Equal(running, []int{101}) {
			t.Errorf("running: %v", running)
		}
	})
}

// TestContainersThatCantBeReadOrReplacedAreToldFromThoseThatCan has others' containers and ours on a node that is down,
// and ours under protection.
func TestContainersThatCantBeReadOrReplacedAreToldFromThoseThatCan(t *testing.T) {
	bubble(t, pve.Options{}, func(t *testing.T, w *world) {
		s := w.spec()
		w.mustRun(s)
		s.Force = true
		down := func() {
			if _, err := w.pve.Fault(pve.FaultSpec{Match: pve.FaultMatch{Path: "**/lxc/100/config", Count: -1}, Kind: "answer", Status: 595}); err != nil {
				t.Fatal(err)
			}
		}
		down()
		if _, err := w.run(t.Context(), s); err == nil || !strings.Contains(err.Error(), "read config of container 100") {
			t.Errorf("ours: %v", err)
		}
		w.pve.ClearFaults(0)
		set := func(options map[string]string) {
			if err := w.admin().SetContainerConfig(t.Context(), "pve1", 100, options, nil, ""); err != nil {
				t.Fatal(err)
			}
		}
		set(map[string]string{"protection": "1"})
		if _, err := w.run(t.Context(), s); err == nil || !strings.Contains(err.Error(), "pct set 100 --protection 0") {
			t.Errorf("protected: %v", err)
		}
		set(map[string]string{"protection": "0"})
		for key, cure := range map[string]string{"parent": "pct delsnapshot 100 before", "lock": "pct unlock 100"} {
			w.wrap = inConfig(key, "before")
			if _, err := w.run(t.Context(), s); err == nil || !strings.Contains(err.Error(), cure) {
				t.Errorf("%s: %v", key, err)
			}
			w.wrap = nil
		}
		w.checkClean(100)
		set(map[string]string{"tags": "others"})
		down()
		if got := w.mustRun(s); got.Replaced != 0 || got.VMID != 101 {
			t.Errorf("another's: %+v", got)
		}
	})
}

// inConfig puts an option into each configuration that is read.
func inConfig(key, value string) func(http.RoundTripper) http.RoundTripper {
	return func(to http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := to.RoundTrip(r)
			if err != nil || r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/config") {
				return resp, err
			}
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			body = bytes.Replace(body, []byte(`{"data":{`), fmt.Appendf(nil, `{"data":{%q:%q,`, key, value), 1)
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			return resp, err
		})
	}
}

// TestUpgradeStaysOnTheContainersNode has the container on another node than the configured one, as HA may have left it.
func TestUpgradeStaysOnTheContainersNode(t *testing.T) {
	bubble(t, pve.Options{Nodes: []string{"pve1", "pve2"}}, func(t *testing.T, w *world) {
		s := w.spec()
		s.Node = "pve2"
		w.mustRun(s)
		s.Node, s.Force = "pve1", true
		if got := w.mustRun(s); got.Node != "pve2" || got.Replaced != 100 {
			t.Errorf("%+v", got)
		}
		if c := w.pve.State().Containers; len(c) != 1 || c[0].Node != "pve2" || c[0].Status != "running" {
			t.Errorf("%+v", c)
		}
	})
}

// TestTwoBootstrapsAtOneTimeLeaveOneDispatcher begins two at the same moment, so that neither sees the other's container
// at its beginning, where nothing is and where a container serves.
func TestTwoBootstrapsAtOneTimeLeaveOneDispatcher(t *testing.T) {
	for _, apart := range []time.Duration{0, 300 * time.Millisecond, time.Second, 3 * time.Second} {
		for _, upgrade := range []bool{false, true} {
			bubble(t, pve.Options{}, func(t *testing.T, w *world) {
				s := w.spec()
				if upgrade {
					w.mustRun(s)
					s.Force = true
				}
				other := &world{t: t, pve: w.pve, web: w.web}
				failed := make(chan error, 2)
				go func() {
					time.Sleep(apart)
					_, err := other.run(t.Context(), s)
					failed <- err
				}()
				_, err := w.run(t.Context(), s)
				failed <- err
				var errs []error
				for range 2 {
					if err := <-failed; err != nil {
						errs = append(errs, err)
					}
				}
				if len(errs) == 0 || strings.Contains(errors.Join(errs...).Error(), "left behind") {
					t.Errorf("apart by %s, upgrade %v: %v", apart, upgrade, errs)
				}
				all, running := w.containers()
				if most := 1; len(all) > most || !slices.Equal(all, running) || upgrade && len(all) != most {
					t.Errorf("apart by %s, upgrade %v: containers %v, of which %v run: %v", apart, upgrade, all, running, errs)
				}
				w.checkClean(all...)
			})
		}
	}
}
