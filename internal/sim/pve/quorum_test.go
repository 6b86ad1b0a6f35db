package pve

import (
	"net/http"
	"testing"
	"time"
)

// Recorded from Proxmox VE 9.2 (captures quorum-*).
func TestWithoutQuorumNothingIsWrittenAndAllElseGoesOn(t *testing.T) {
	bubble(t, threeNodes, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		admin.vmFor("270")
		admin.vmFor("271")
		if exit := admin.task(http.MethodPost, vmPath("270", "/status/start")); exit != "OK" {
			t.Fatal(exit)
		}
		status := func() map[string]any {
			return find(admin.call(http.MethodGet, "/cluster/status").list(), "type", "cluster")
		}
		for _, name := range []string{"pve2", "pve3"} {
			if err := s.KillNode(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		if status()["quorate"] != 0.0 {
			t.Errorf("%v", status())
		}
		const noQuorum = "500 cluster not ready - no quorum?"
		admin.must(noQuorum, http.MethodPost, vmPath("9000", "/clone"), "newid=280", "pool=ci")
		admin.must(noQuorum, http.MethodPost, vmPath("271", "/status/start"))
		a := admin.call(http.MethodPut, vmPath("270", "/config"), "cores=3")
		if want := "500 unable to open file '/etc/pve/nodes/pve1/qemu-server/270.conf.tmp."; len(a.status) < len(want) || a.status[:len(want)] != want {
			t.Errorf("a change: %s", a.status)
		}
		began := time.Now()
		admin.must("500 cfs-lock 'file-user_cfg' error: no quorum!", http.MethodPost, "/pools", "poolid=x")
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("the pool's lock took %s", took)
		}
		admin.must("200 OK", http.MethodGet, vmPath("270", "/config"))
		admin.must("200 OK", http.MethodPost, vmPath("270", "/agent/ping"))
		if exit := admin.task(http.MethodPost, vmPath("270", "/status/stop")); exit != "OK" {
			t.Errorf("stop: %s", exit)
		}
		// A removal frees the disks, then fails; with quorum it succeeds.
		if exit := admin.task(http.MethodDelete, vmPath("271")); exit == "OK" {
			t.Error("removed without quorum")
		}
		if err := s.ReviveNode("pve2"); err != nil {
			t.Fatal(err)
		}
		if status()["quorate"] != 1.0 {
			t.Errorf("%v", status())
		}
		if exit := admin.task(http.MethodPost, vmPath("271", "/status/start")); exit != "volume 'local-lvm:vm-271-disk-0' does not exist" {
			t.Errorf("start after the failed removal: %s", exit)
		}
		if exit := admin.task(http.MethodDelete, vmPath("271")); exit != "OK" {
			t.Errorf("removal with quorum: %s", exit)
		}
	})
}

func TestCloneThatLosesTheQuorumLeavesALockedConfiguration(t *testing.T) {
	for name, set := range map[string]func(*Server, bool){
		"the cluster's": func(s *Server, lost bool) { s.SetQuorum(!lost) },
		"the node's":    func(s *Server, lost bool) { _ = s.SetReadOnly("pve1", lost) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, s *Server) {
				admin := adminOf(t, s)
				upid := admin.must("200 OK", http.MethodPost, vmPath("9000", "/clone"), "newid=270", "pool=ci").text()
				time.Sleep(100 * time.Millisecond)
				set(s, true)
				if exit := admin.wait(upid); exit == "OK" || exit[:13] != "clone failed:" {
					t.Errorf("the clone ended with %q", exit)
				}
				set(s, false)
				if conf := admin.call(http.MethodGet, vmPath("270", "/config")).object(); conf["lock"] != "clone" {
					t.Errorf("left: %v", conf)
				}
				for key := range s.volumes {
					if s.volumes[key].vmid == 270 {
						t.Errorf("volume %s is left", key)
					}
				}
			})
		})
	}
}
