package pve

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hold arms a fault that holds workers at a point, and returns what lets them go.
func hold(t *testing.T, s *Server, task, at string, vmid int) (release func()) {
	t.Helper()
	id, err := s.Fault(FaultSpec{Match: FaultMatch{Task: task, At: at, VMID: vmid, Count: -1}, Kind: "hold"})
	if err != nil {
		t.Fatal(err)
	}
	return func() { s.ReleaseFault(id) }
}

func TestStartPostedDuringACloneWaitsAndStartsTheFinishedVM(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		release := hold(t, s, "qmclone", "copy", 270)
		clone := admin.call("POST", vmPath("9000", "/clone"), "newid=270", "name=r270").text()
		time.Sleep(time.Second)
		start := admin.call("POST", vmPath("270", "/status/start")).text()
		time.Sleep(5 * time.Second)
		release()
		if exit := admin.wait(clone); exit != "OK" {
			t.Fatal(exit)
		}
		if exit := admin.wait(start); exit != "OK" {
			t.Fatal(exit)
		}
		if log := admin.log(start); !slices.Equal(log, []string{"trying to acquire lock...", " OK", "TASK OK"}) {
			t.Errorf("log of start: %q", log)
		}
		if st := admin.call("GET", vmPath("270", "/status/current")).object()["status"]; st != "running" {
			t.Errorf("status: %v", st)
		}
	})
}

func TestLockFilesAreWaitedForTenSecondsAndByClonesForOne(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		admin.vmFor("270")
		release := hold(t, s, "qmstart", "locked", 270)
		start := admin.call("POST", vmPath("270", "/status/start")).text()
		time.Sleep(time.Second)
		timeout := func(vmid string) string {
			return "can't lock file '/var/lock/qemu-server/lock-" + vmid + ".conf' - got timeout"
		}
		took := func(want time.Duration, what func()) {
			t.Helper()
			began := time.Now()
			what()
			if d := time.Since(began); d.Truncate(100*time.Millisecond) != want {
				t.Errorf("took %v, want %v", d, want)
			}
		}
		took(10*time.Second, func() { admin.must("500 "+timeout("270"), "PUT", vmPath("270", "/config"), "description=x") })
		took(10*time.Second, func() {
			upid := admin.call("POST", vmPath("270", "/status/stop")).text()
			if exit := admin.wait(upid); exit != timeout("270") {
				t.Errorf("stop: %s", exit)
			}
			if log := admin.log(upid); !slices.Equal(log, []string{"trying to acquire lock...", "TASK ERROR: " + timeout("270")}) {
				t.Errorf("log of stop: %q", log)
			}
		})
		took(time.Second, func() {
			if exit := admin.task("POST", vmPath("270", "/clone"), "newid=271"); exit != timeout("270") {
				t.Errorf("clone: %s", exit)
			}
		})
		release()
		if exit := admin.wait(start); exit != "OK" {
			t.Errorf("start: %s", exit)
		}
	})
}

func TestClonesOfATemplateRunSideBySideAndItsChangesWaitForThem(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin, fleet := adminOf(t, s), fleetOf(t, s)
		release := hold(t, s, "qmclone", "copied", 0)
		var upids []string
		for _, id := range []string{"270", "271", "272", "273"} {
			upids = append(upids, fleet.call("POST", vmPath("9000", "/clone"), "newid="+id, "pool=ci").text())
		}
		time.Sleep(5 * time.Second)
		for _, u := range upids {
			if log := fleet.log(u); !strings.HasPrefix(log[0], "creating a clone") {
				t.Errorf("a clone waits: %q", log)
			}
		}
		var put sync.WaitGroup
		var took time.Duration
		put.Go(func() {
			began := time.Now()
			admin.must("200 OK", "PUT", vmPath("9000", "/config"), "description=new")
			took = time.Since(began)
		})
		time.Sleep(4 * time.Second)
		release()
		put.Wait()
		if took < 4*time.Second {
			t.Errorf("the template was changed after %v, while clones held it", took)
		}
		for _, u := range upids {
			if exit := fleet.wait(u); exit != "OK" {
				t.Error(exit)
			}
		}
	})
}

func TestCloneRaceForOneIDHasOneWinnerAndTheOthersFailInTheirTasks(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		const racers = 3
		var wg sync.WaitGroup
		upids := make([]string, racers)
		release := hold(t, s, "qmclone", "start", 0) // so that all pass the first check
		for i := range racers {
			wg.Go(func() {
				upids[i] = fleet.must("200 OK", "POST", vmPath("9000", "/clone"), "newid=270", "pool=ci").text()
			})
		}
		wg.Wait()
		release()
		won := 0
		for _, u := range upids {
			switch exit := fleet.wait(u); exit {
			case "OK":
				won++
			case "unable to create VM 270: config file already exists":
				if log := fleet.log(u); len(log) != 3 || log[0] != "trying to acquire lock..." {
					t.Errorf("log of a loser: %q", log)
				}
			default:
				t.Errorf("exit status %q", exit)
			}
		}
		if won != 1 {
			t.Errorf("%d winners", won)
		}
		fleet.must("200 OK", "GET", vmPath("270", "/config"))
	})
}

func TestCloneToAnIDOfAnotherNodeFailsInItsTaskAndLeavesTheOtherAlone(t *testing.T) {
	bubble(t, Options{Nodes: []string{"pve1", "pve2"}}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		if exit := admin.task("POST", "/nodes/pve2/qemu/9001/clone", "newid=270", "name=there"); exit != "OK" {
			t.Fatal(exit)
		}
		if exit := admin.task("POST", vmPath("9000", "/clone"), "newid=270"); exit != "close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/270.conf' failed: File exists" {
			t.Errorf("exit status %q", exit)
		}
		if name := admin.call("GET", "/nodes/pve2/qemu/270/config").object()["name"]; name != "there" {
			t.Errorf("the other node's VM: %v", name)
		}
		admin.must("500 unable to create VM 270 - VM 270 already exists on node 'pve2'", "POST", "/nodes/pve1/qemu", "vmid=270")
	})
}

func TestStoppedCloneTaskCleansUpAndAKilledOneLeavesWhatItHad(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin, fleet := adminOf(t, s), fleetOf(t, s)
		hold(t, s, "qmclone", "copy", 270)
		upid := fleet.call("POST", vmPath("9000", "/clone"), "newid=270", "pool=ci").text()
		time.Sleep(time.Second)
		admin.must("200 OK", "DELETE", "/nodes/pve1/tasks/"+upid)
		if exit := fleet.wait(upid); exit != "clone failed: interrupted by signal" {
			t.Errorf("stopped clone: %s", exit)
		}
		admin.must("500 Configuration file 'nodes/pve1/qemu-server/270.conf' does not exist", "GET", vmPath("270", "/config"))

		// By the point of the kill: what GET config says to the administrator, and what a removal comes to. From
		// the captures x2-kill-p1 to p5.
		const missing = "Configuration file 'nodes/pve1/qemu-server/%.conf' does not exist"
		for i, k := range []struct{ at, lock, inPool, remove string }{
			{"start", missing, "", "500 " + missing},
			{"copy", "clone", "", "VM is locked (clone)"},
			{"copied", "clone", "", "VM is locked (clone)"},
			{"pool", "", "", "OK"},
			{"done", "", "ci", "OK"},
		} {
			id := []string{"271", "272", "273", "274", "275"}[i]
			if _, err := s.Fault(FaultSpec{Match: FaultMatch{Task: "qmclone", At: k.at}, Kind: "kill"}); err != nil {
				t.Fatal(err)
			}
			if exit := fleet.task("POST", vmPath("9000", "/clone"), "newid="+id, "pool=ci", "name=r"+id); exit != "unexpected status" {
				t.Errorf("killed at %s: %s", k.at, exit)
			}
			cfg := admin.call("GET", vmPath(id, "/config"))
			if strings.HasPrefix(k.remove, "500") {
				want := strings.ReplaceAll(k.remove, "%", id)
				if cfg.status != want {
					t.Errorf("killed at %s: config %s", k.at, cfg.status)
				}
				admin.must(want, "DELETE", vmPath(id))
				continue
			}
			lock, _ := cfg.object()["lock"].(string)
			if lock != k.lock {
				t.Errorf("killed at %s: lock %q, want %q", k.at, lock, k.lock)
			}
			if visible := fleet.call("GET", vmPath(id, "/config")).status == "200 OK"; visible != (k.inPool != "") {
				t.Errorf("killed at %s: visible to the fleet: %v", k.at, visible)
			}
			if exit := admin.task("DELETE", vmPath(id)); exit != k.remove {
				t.Errorf("killed at %s: removal %q, want %q", k.at, exit, k.remove)
			}
		}
	})
}

func TestRemovalKilledLateLeavesALockNobodyCanTakeAway(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin, fleet := adminOf(t, s), fleetOf(t, s)
		for i, k := range []struct{ at, again, fleet string }{
			{"copy", "OK", "200 OK"},
			{"copied", "VM is locked (destroyed)", "200 OK"},
			{"pool", "VM is locked (destroyed)", "403 Permission check failed (/vms/272, VM.Audit)"},
		} {
			id := []string{"270", "271", "272"}[i]
			fleet.vmFor(id)
			if _, err := s.Fault(FaultSpec{Match: FaultMatch{Task: "qmdestroy", At: k.at}, Kind: "kill"}); err != nil {
				t.Fatal(err)
			}
			if exit := fleet.task("DELETE", vmPath(id)); exit != "unexpected status" {
				t.Errorf("killed at %s: %s", k.at, exit)
			}
			fleet.must(k.fleet, "GET", vmPath(id, "/config"))
			if exit := admin.task("DELETE", vmPath(id)); exit != k.again {
				t.Errorf("again after a kill at %s: %q, want %q", k.at, exit, k.again)
			}
		}
		admin.must("500 only root can set 'lock' config", "PUT", vmPath("271", "/config"), "delete=lock")
	})
}

func TestSilentAgentHoldsADaemonWorkerForItsThreeSeconds(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin, fleet := adminOf(t, s), fleetOf(t, s)
		fleet.vmFor("270")
		if exit := fleet.task("POST", vmPath("270", "/status/start")); exit != "OK" {
			t.Fatal(exit)
		}
		s.opts.Engine.(*blankEngine).machine(270).on = nil // a guest whose agent has died
		began := time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		byTime := map[time.Duration]int{}
		for range 9 {
			wg.Go(func() {
				fleet.must("500 QEMU guest agent is not running", "POST", vmPath("270", "/agent/ping"))
				mu.Lock()
				byTime[time.Since(began)]++
				mu.Unlock()
			})
		}
		synctest.Wait()
		admin.must("200 OK", "GET", vmPath("9000", "/config")) // not protected: pveproxy answers it itself
		if d := time.Since(began); d != 0 {
			t.Errorf("a call without a daemon worker took %v", d)
		}
		wg.Wait()
		for _, d := range []time.Duration{3 * time.Second, 6 * time.Second, 9 * time.Second} {
			if byTime[d] != 3 {
				t.Errorf("answers by time: %v; want three each after 3, 6 and 9 s", byTime)
			}
		}
	})
}
