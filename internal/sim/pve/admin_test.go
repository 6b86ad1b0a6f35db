package pve

import (
	"net/http"
	"testing"
	"time"
)

// TestHaltedMachineRunsForItsNodeAndIsToldByQEMUsOwnWord: only the words of QEMU tell that nothing goes on in it.
func TestHaltedMachineRunsForItsNodeAndIsToldByQEMUsOwnWord(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		admin.vmFor("270")
		if err := s.Halt(t.Context(), 270, "io-error"); err == nil {
			t.Error("a stopped VM was halted")
		}
		if exit := admin.task(http.MethodPost, vmPath("270", "/status/start")); exit != "OK" {
			t.Fatal(exit)
		}
		time.Sleep(11 * time.Second)
		admin.must("200 OK", http.MethodPost, vmPath("270", "/agent/ping"))
		if err := s.Halt(t.Context(), 270, "io-error"); err != nil {
			t.Fatal(err)
		}
		if now := admin.call(http.MethodGet, vmPath("270", "/status/current")).object(); now["status"] != "running" || now["qmpstatus"] != "io-error" {
			t.Errorf("status %v, QEMU's %v", now["status"], now["qmpstatus"])
		}
		short := find(admin.call(http.MethodGet, "/nodes/pve1/qemu").list(), "vmid", 270.0)
		full := find(admin.call(http.MethodGet, "/nodes/pve1/qemu", "full=1").list(), "vmid", 270.0)
		if short["status"] != "running" || short["qmpstatus"] != nil || full["qmpstatus"] != "io-error" {
			t.Errorf("the node lists %v, in full %v", short, full)
		}
		if r := admin.resourceOf(270); r["status"] != "running" {
			t.Errorf("told before the next broadcast: %v", r["status"])
		}
		time.Sleep(10 * time.Second)
		if r := admin.resourceOf(270); r["status"] != "io-error" {
			t.Errorf("after the broadcast: %v", r["status"])
		}
		admin.must("500 QEMU guest agent is not running", http.MethodPost, vmPath("270", "/agent/ping"))
		admin.must("500 VM is paused - cannot shutdown", http.MethodPost, vmPath("270", "/status/shutdown"))
		for _, what := range []string{"stop", "start"} {
			if exit := admin.task(http.MethodPost, vmPath("270", "/status/"+what)); exit != "OK" {
				t.Error(what, exit)
			}
		}
		if now := admin.call(http.MethodGet, vmPath("270", "/status/current")).object(); now["qmpstatus"] != "running" {
			t.Errorf("after a stop and a start: %v", now["qmpstatus"])
		}
	})
}

// Recorded from Proxmox VE 9.2 (captures moved-*).
func TestMigratedVMIsGoneFromItsOldPath(t *testing.T) {
	bubble(t, Options{Nodes: []string{"pve1", "pve2"}}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		admin.vmFor("270")
		if err := s.Migrate(270, "pve9"); err == nil {
			t.Error("migrated to a node that isn't there")
		}
		if err := s.Migrate(270, "pve2"); err != nil {
			t.Fatal(err)
		}
		const gone = "Configuration file 'nodes/pve1/qemu-server/270.conf' does not exist"
		admin.must("500 "+gone, http.MethodGet, vmPath("270", "/config"))
		admin.must("500 "+gone, http.MethodGet, vmPath("270", "/status/current"))
		admin.must("500 "+gone, http.MethodPut, vmPath("270", "/config"), "cores=1")
		admin.must("500 "+gone, http.MethodDelete, vmPath("270"))
		if exit := admin.task(http.MethodPost, vmPath("270", "/status/start")); exit != gone {
			t.Errorf("start: %s", exit)
		}
		if exit := admin.task(http.MethodPost, vmPath("270", "/status/stop")); exit != "unable to find configuration file for VM 270 on node 'pve1'" {
			t.Errorf("stop: %s", exit)
		}
		if r := admin.resourceOf(270); r["node"] != "pve2" {
			t.Errorf("listed on %v", r["node"])
		}
		moved := "/nodes/pve2/qemu/270"
		for _, step := range [][2]string{{http.MethodPost, "/status/start"}, {http.MethodPost, "/status/stop"}, {http.MethodDelete, ""}} {
			if exit := admin.task(step[0], moved+step[1]); exit != "OK" {
				t.Errorf("%s %s: %s", step[0], step[1], exit)
			}
		}
	})
}

func TestLockThatNoTokenCanSetComesAndGoes(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		if err := s.SetLock(9000, "backup"); err != nil {
			t.Fatal(err)
		}
		admin.must("500 VM is locked (backup)", http.MethodPost, vmPath("9000", "/clone"), "newid=270")
		if err := s.SetLock(9000, ""); err != nil {
			t.Fatal(err)
		}
		admin.vmFor("270")
		if err := s.SetLock(7777, "backup"); err == nil {
			t.Error("a VM that isn't there was locked")
		}
	})
}
