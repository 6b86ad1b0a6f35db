package pve

import (
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"
)

var threeNodes = Options{Nodes: []string{"pve1", "pve2", "pve3"}}

// on makes a running VM on pve2.
func onPVE2(t *testing.T, c caller, id string) {
	t.Helper()
	for _, step := range [][]string{{"/nodes/pve2/qemu/9001/clone", "newid=" + id, "pool=ci"}, {"/nodes/pve2/qemu/" + id + "/status/start"}} {
		if exit := c.task(http.MethodPost, step[0], step[1:]...); exit != "OK" {
			t.Fatal(step, exit)
		}
	}
}

// Recorded from Proxmox VE 9.2 (captures other-node-died-*, reboot-*).
func TestDeadNodeKeepsItsVMsInListsForFiveMinutesAndAnswersNobody(t *testing.T) {
	bubble(t, threeNodes, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		onPVE2(t, admin, "270")
		time.Sleep(11 * time.Second)
		if err := s.KillNode(t.Context(), "pve2"); err != nil {
			t.Fatal(err)
		}
		if s.KillNode(t.Context(), "pve2") == nil || s.ReviveNode("pve1") == nil {
			t.Error("killed twice, or revived alive")
		}
		node := func() any {
			return find(admin.call(http.MethodGet, "/cluster/resources", "type=node").list(), "node", "pve2")["status"]
		}
		if node() != "online" {
			t.Error("offline before anybody could know")
		}
		began := time.Now()
		admin.must("595 No route to host", http.MethodGet, "/nodes/pve2/qemu/270/config")
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("after %s", took)
		}
		time.Sleep(6 * time.Second)
		if node() != "offline" {
			t.Error("online after 9 s")
		}
		if r := admin.resourceOf(270); r["status"] != "running" {
			t.Errorf("told at once: %v", r)
		}
		time.Sleep(5 * time.Minute)
		if r := admin.resourceOf(270); r["status"] != "unknown" || r["name"] != nil || r["node"] != "pve2" {
			t.Errorf("after five minutes: %v", r)
		}
		if err := s.ReviveNode("pve2"); err != nil {
			t.Fatal(err)
		}
		if now := admin.call(http.MethodGet, "/nodes/pve2/qemu/270/status/current").object(); now["status"] != "stopped" {
			t.Errorf("after the boot: %v", now["status"])
		}
		if r := admin.resourceOf(270); r["status"] != "unknown" {
			t.Errorf("before pvestatd spoke: %v", r)
		}
		time.Sleep(26 * time.Second)
		if r := admin.resourceOf(270); r["status"] != "stopped" {
			t.Errorf("then: %v", r)
		}
	})
}

func TestWhatRunsOnADyingNodeEndsWithoutAWord(t *testing.T) {
	opts := threeNodes
	opts.Timing = DefaultTiming()
	opts.Timing.Config = time.Second
	bubble(t, opts, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		onPVE2(t, admin, "270")
		upid := admin.must("200 OK", http.MethodPost, "/nodes/pve2/qemu/9001/clone", "newid=271", "pool=ci").text()
		time.AfterFunc(100*time.Millisecond, func() { _ = s.KillNode(t.Context(), "pve2") })
		admin.must("596 Connection timed out", http.MethodPut, "/nodes/pve2/qemu/270/config", "cores=3")
		if err := s.ReviveNode("pve2"); err != nil {
			t.Fatal(err)
		}
		if exit := admin.wait(upid); exit != "unexpected status" {
			t.Errorf("the clone ended with %q", exit)
		}
		if conf := admin.call(http.MethodGet, "/nodes/pve2/qemu/271/config").object(); conf["lock"] != "clone" {
			t.Errorf("the clone left %v", conf)
		}
		if conf := admin.call(http.MethodGet, "/nodes/pve2/qemu/270/config").object(); conf["cores"] == 3.0 {
			t.Error("a dead node changed a configuration")
		}
	})
}

func TestNobodyAnswersWhereTheNodeThatAnswersIsDead(t *testing.T) {
	bubble(t, threeNodes, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		if err := s.KillNode(t.Context(), "pve1"); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.try(http.MethodGet, "/version"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%v", err)
		}
		if err := s.ReviveNode("pve1"); err != nil {
			t.Fatal(err)
		}
		admin.must("200 OK", http.MethodGet, "/version")
	})
}

func TestFrozenBroadcastShowsWhatWas(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		admin.vmFor("270")
		time.Sleep(11 * time.Second)
		if err := s.FreezeBroadcast("pve1", 4*time.Minute); err != nil {
			t.Fatal(err)
		}
		if exit := admin.task(http.MethodPost, vmPath("270", "/status/start")); exit != "OK" {
			t.Fatal(exit)
		}
		time.Sleep(3 * time.Minute)
		if r := admin.resourceOf(270); r["status"] != "stopped" {
			t.Errorf("while it is frozen: %v", r["status"])
		}
		time.Sleep(80 * time.Second)
		if r := admin.resourceOf(270); r["status"] != "running" {
			t.Errorf("afterwards: %v", r["status"])
		}
		if s.FreezeBroadcast("pve9", time.Minute) == nil {
			t.Error("froze a node that isn't there")
		}
	})
}

func TestOccupiedWorkersLetCallsWait(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		if err := s.OccupyWorkers("pve1", 3, 20*time.Second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		began := time.Now()
		admin.must("200 OK", http.MethodGet, vmPath("9000", "/status/current"))
		if took := time.Since(began); took != 19*time.Second {
			t.Errorf("a protected call took %s", took)
		}
		if s.OccupyWorkers("pve1", 4, time.Second) == nil {
			t.Error("more workers than there are")
		}
	})
}

func TestTasksShowTheNodesClock(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		s.SetClock(-3 * time.Minute)
		began := time.Now()
		upid := admin.must("200 OK", http.MethodPost, vmPath("9000", "/clone"), "newid=270", "pool=ci").text()
		if exit := admin.wait(upid); exit != "OK" {
			t.Fatal(exit)
		}
		since := func(at time.Time) int {
			return len(admin.call(http.MethodGet, "/nodes/pve1/tasks", "source=all", fmt.Sprintf("since=%d", at.Unix())).list())
		}
		if n, m := since(began), since(began.Add(-3*time.Minute)); n != 0 || m != 1 {
			t.Errorf("%d tasks since our time, %d since the node's", n, m)
		}
	})
}

func TestRotatedTasksAreUnknownButNotForgotten(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		upid := admin.must("200 OK", http.MethodPost, vmPath("9000", "/clone"), "newid=270", "pool=ci").text()
		if exit := admin.wait(upid); exit != "OK" {
			t.Fatal(exit)
		}
		if n := s.RotateTasks("pve1"); n != 1 {
			t.Errorf("%d tasks rotated", n)
		}
		if a := admin.must("400 Parameter verification failed.", http.MethodGet, "/nodes/pve1/tasks/"+upid+"/status"); a.Errors["upid"] != "no such task" {
			t.Errorf("%v", a.Errors)
		}
		if list := admin.call(http.MethodGet, "/nodes/pve1/tasks", "source=all").list(); len(list) != 0 {
			t.Errorf("listed: %v", list)
		}
		if n := len(s.State().Tasks); n != 1 {
			t.Errorf("the state has %d tasks", n)
		}
	})
}
