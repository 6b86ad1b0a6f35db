package pve

import (
	"strings"
	"testing"
)

// After pve-container API2/LXC.pm, move_volume.
func TestContainerGivesAVolumeToAnother(t *testing.T) {
	bubble(t, Options{MayUpload: true}, func(t *testing.T, s *Server) {
		fleet, admin := fleetOf(t, s), adminOf(t, s)
		for _, id := range []string{"201", "202"} {
			if exit := fleet.task("POST", containers, minimal(id, "pool=ci")...); exit != "OK" {
				t.Fatal(exit)
			}
		}
		const from, move = containers + "/201", containers + "/201/move_volume"
		fleet.must("500 volume 'mp0' for container '201' does not exist", "POST", move, "volume=mp0", "target-vmid=202")
		a := fleet.must("400 Parameter verification failed.", "PUT", from+"/config", "mp0=local:1,mp=/var/x")
		if a.Errors["storage"] != "storage 'local' does not support container directories" {
			t.Errorf("%v", a.Errors)
		}
		fleet.must("200 OK", "PUT", from+"/config", "mp0=local-lvm:1,mp=/var/x,backup=1")
		if got := fleet.must("200 OK", "GET", from+"/config").object()["mp0"]; got != "local-lvm:vm-201-disk-1,backup=1,mp=/var/x,size=1G" {
			t.Fatalf("mp0 %v", got)
		}
		fleet.must("500 Cannot move to/from 'rootfs'", "POST", move, "volume=rootfs", "target-vmid=202")
		admin.must("500 could not find CT 203", "POST", move, "volume=mp0", "target-vmid=203")
		fleet.must("400 Parameter verification failed.", "POST", move, "volume=mp0")
		if exit := fleet.task("POST", from+"/status/start"); exit != "OK" {
			t.Fatal(exit)
		}
		fleet.must("500 Cannot move in-use volume while the source CT is running - detach or shutdown first", "POST", move, "volume=mp0", "target-vmid=202")
		if exit := fleet.task("POST", from+"/status/stop"); exit != "OK" {
			t.Fatal(exit)
		}
		if exit := fleet.task("POST", move, "volume=mp0", "target-vmid=202"); exit != "OK" {
			t.Fatal(exit)
		}
		if got := fleet.must("200 OK", "GET", from+"/config").object()["mp0"]; got != nil {
			t.Errorf("it still has %v", got)
		}
		if got := fleet.must("200 OK", "GET", containers+"/202/config").object()["mp0"]; got != "local-lvm:vm-202-disk-1,backup=1,mp=/var/x,size=1G" {
			t.Errorf("mp0 %v", got)
		}
		fleet.must("200 OK", "PUT", from+"/config", "mp0=local-lvm:1,mp=/var/x")
		fleet.must("500 Target volume key 'mp0' is already in use for container '202'", "POST", move, "volume=mp0", "target-vmid=202")
		for _, id := range []string{"201", "202"} {
			if exit := fleet.task("DELETE", containers+"/"+id); exit != "OK" {
				t.Fatal(exit)
			}
		}
		for _, v := range admin.call("GET", "/nodes/pve1/storage/local-lvm/content").list() {
			if name, _ := v["volid"].(string); strings.Contains(name, "vm-201-") || strings.Contains(name, "vm-202-") {
				t.Errorf("left: %s", name)
			}
		}
	})
}

func TestContainerInHAIsNotDestroyed(t *testing.T) {
	bubble(t, Options{MayUpload: true}, func(t *testing.T, s *Server) {
		fleet, admin := fleetOf(t, s), adminOf(t, s)
		if exit := fleet.task("POST", containers, minimal("201", "pool=ci")...); exit != "OK" {
			t.Fatal(exit)
		}
		fleet.must("403 Permission check failed (/, Sys.Console)", "POST", "/cluster/ha/resources", "sid=ct:201")
		admin.must("500 resource '202' does not exist in cluster", "POST", "/cluster/ha/resources", "sid=ct:202")
		admin.must("200 OK", "POST", "/cluster/ha/resources", "sid=ct:201", "state=started")
		admin.must("500 resource ID 'ct:201' already defined", "POST", "/cluster/ha/resources", "sid=ct:201")
		ha, _ := fleet.must("200 OK", "GET", containers+"/201/status/current").object()["ha"].(map[string]any)
		if ha["managed"] != 1.0 {
			t.Errorf("ha %v", ha)
		}
		fleet.must("500 unable to remove CT 201 - used in HA resources and purge parameter not set.", "DELETE", containers+"/201")
		admin.must("200 OK", "DELETE", "/cluster/ha/resources/ct:201")
		admin.must("500 cannot delete service 'ct:201', not HA managed!", "DELETE", "/cluster/ha/resources/ct:201")
		if exit := fleet.task("DELETE", containers+"/201"); exit != "OK" {
			t.Fatal(exit)
		}
	})
}
