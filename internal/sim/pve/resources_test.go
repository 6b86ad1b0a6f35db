package pve

import (
	"net/http"
	"testing"
	"time"
)

// resourceOf is a VM's entry in /cluster/resources; nil when the token doesn't see it.
func (c caller) resourceOf(vmid float64) map[string]any {
	c.t.Helper()
	return find(c.must("200 OK", http.MethodGet, "/cluster/resources", "type=vm").list(), "vmid", vmid)
}

// TestReusedIDShowsItsPredecessorUntilTheNextBroadcast is what a dispatcher must not fall for.
func TestReusedIDShowsItsPredecessorUntilTheNextBroadcast(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		clone := func(name string) {
			t.Helper()
			if exit := admin.task(http.MethodPost, vmPath("9000", "/clone"), "newid=150", "name="+name, "pool=ci"); exit != "OK" {
				t.Fatal(exit)
			}
		}
		clone("old")
		if r := admin.resourceOf(150); r["status"] != "unknown" || r["name"] != nil {
			t.Errorf("before any broadcast: %v", r)
		}
		admin.must("200 OK", http.MethodPut, vmPath("150", "/config"), "tags=busy")
		if r := admin.resourceOf(150); r["tags"] != "busy" || r["pool"] != "ci" {
			t.Errorf("tags and pool must be live: %v", r)
		}
		if exit := admin.task(http.MethodPost, vmPath("150", "/status/start")); exit != "OK" {
			t.Fatal(exit)
		}
		time.Sleep(11 * time.Second)
		if r := admin.resourceOf(150); r["status"] != "running" || r["name"] != "old" {
			t.Errorf("after a broadcast: %v", r)
		}
		for _, step := range [][2]string{{http.MethodPost, "/status/stop"}, {http.MethodDelete, ""}} {
			if exit := admin.task(step[0], "/nodes/pve1/qemu/150"+step[1]); exit != "OK" {
				t.Fatal(exit)
			}
		}
		if r := admin.resourceOf(150); r != nil {
			t.Errorf("a destroyed VM is listed: %v", r)
		}
		clone("new")
		if r := admin.resourceOf(150); r["status"] != "running" || r["name"] != "old" {
			t.Errorf("a reused VMID must show its predecessor: %v", r)
		}
		if got := admin.must("200 OK", http.MethodGet, vmPath("150", "/status/current")).object(); got["status"] != "stopped" || got["name"] != "new" {
			t.Errorf("status/current must be true: %v", got)
		}
		time.Sleep(11 * time.Second)
		if r := admin.resourceOf(150); r["status"] != "stopped" || r["name"] != "new" {
			t.Errorf("after the next broadcast: %v", r)
		}
	})
}

func TestListsShowWhatTheTokenMayAudit(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet, admin := fleetOf(t, s), adminOf(t, s)
		for _, d := range decoyPlan {
			if fleet.resourceOf(float64(d.inside)) == nil || fleet.resourceOf(float64(d.outside)) != nil {
				t.Errorf("decoy %q: inside %d must be seen, outside %d must not", d.kind, d.inside, d.outside)
			}
			if admin.resourceOf(float64(d.outside)) == nil {
				t.Errorf("decoy %q: the administrator must see %d", d.kind, d.outside)
			}
		}
		all := fleet.must("200 OK", http.MethodGet, "/cluster/resources").list()
		if n := find(all, "type", "node"); n["status"] != "online" || n["maxmem"] == nil {
			t.Errorf("node %v", n)
		}
		if p := find(all, "type", "pool"); p["pool"] != poolRunners {
			t.Errorf("pool %v", p)
		}
		// Whoever asks, nextid tells that a VMID is taken.
		fleet.must("400 Parameter verification failed.", http.MethodGet, "/cluster/nextid", "vmid=207")
		if got := fleet.must("200 OK", http.MethodGet, "/cluster/nextid").text(); got != "100" {
			t.Errorf("next VMID %s", got)
		}
	})
}

func TestPoolsTakeAndGiveMembersByTheRules(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet, admin := fleetOf(t, s), adminOf(t, s)
		fleet.must("403 Permission check failed (/pool/p2, Pool.Allocate)", http.MethodPost, "/pools", "poolid=p2")
		admin.must("200 OK", http.MethodPost, "/pools", "poolid=p2", "comment=two")
		admin.must("500 create pool failed: pool 'p2' already exists", http.MethodPost, "/pools", "poolid=p2")
		admin.must("500 update pools failed: VM 200 belongs already to pool 'ci' and 'allow-move' is not set", http.MethodPut, "/pools", "poolid=p2", "vms=200")
		admin.must("200 OK", http.MethodPut, "/pools", "poolid=p2", "vms=200", "allow-move=1")
		if fleet.resourceOf(200) != nil {
			t.Error("rights of a pool must go with the membership")
		}
		admin.must("500 delete pool failed: pool 'p2' is not empty (contains VM 200)", http.MethodDelete, "/pools", "poolid=p2")
		admin.must("200 OK", http.MethodPut, "/pools", "poolid=p2", "vms=200", "delete=1")
		admin.must("500 update pools failed: VM 200 is not a pool member", http.MethodPut, "/pools", "poolid=p2", "vms=200", "delete=1")
		admin.must("200 OK", http.MethodDelete, "/pools", "poolid=p2")
		fleet.must("500 pool 'p2' does not exist", http.MethodGet, "/pools", "poolid=p2")
		if got := fleet.must("200 OK", http.MethodGet, "/pools").list(); len(got) != 1 || got[0]["poolid"] != poolRunners {
			t.Errorf("fleet token sees pools %v", got)
		}
	})
}
