package pve

import (
	"testing"

	"mayfly/internal/runner"
)

// Local storages have the same name and other contents on each node; a shared one is the same everywhere.
func TestLocalStoragesDifferFromNodeToNodeAndSharedOnesDont(t *testing.T) {
	opts := Options{
		Nodes: []string{"pve1", "pve2"}, Web: web{"http://images.example/x": serves(qcow2(runner.GiB, 512))},
		Storages: []Storage{{ID: "nas", Type: "nfs", Content: []string{"images", "import"}, Shared: true}},
	}
	bubble(t, opts, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		fetch := func(storage string) {
			t.Helper()
			if exit := admin.task("POST", "/nodes/pve1/storage/"+storage+"/download-url", "content=import", "filename=x.qcow2", "url=http://images.example/x"); exit != "OK" {
				t.Fatal(exit)
			}
		}
		fetch("local")
		fetch("nas")
		for path, want := range map[string]int{
			"/nodes/pve1/storage/local/content": 1, "/nodes/pve2/storage/local/content": 0,
			"/nodes/pve1/storage/nas/content": 1, "/nodes/pve2/storage/nas/content": 1,
		} {
			if got := admin.call("GET", path, "content=import").list(); len(got) != want {
				t.Errorf("%s: %v, want %d", path, got, want)
			}
		}
		create := func(node, vmid, disk string) string {
			t.Helper()
			return admin.task("POST", "/nodes/"+node+"/qemu", "vmid="+vmid, "scsi0="+disk)
		}
		if exit := create("pve2", "112", "local-lvm:0,import-from=local:import/x.qcow2"); exit != "unable to create VM 112 - failed to stat '/var/lib/vz/import/x.qcow2'" {
			t.Errorf("an image of the other node's: %s", exit)
		}
		if exit := create("pve2", "112", "nas:0,import-from=nas:import/x.qcow2"); exit != "OK" {
			t.Fatal(exit)
		}
		if exit := create("pve1", "113", "local-lvm:0,import-from=nas:import/x.qcow2"); exit != "OK" {
			t.Fatal(exit)
		}
		if disk := admin.call("GET", "/nodes/pve2/qemu/112/config").object()["scsi0"]; disk != "nas:112/vm-112-disk-0.qcow2,size=1G" {
			t.Errorf("disk %v", disk)
		}
		admin.task("POST", "/nodes/pve2/qemu/112/template")
		admin.task("POST", "/nodes/pve1/qemu/113/template")
		if exit := admin.task("POST", "/nodes/pve2/qemu/112/clone", "newid=150", "target=pve1"); exit != "OK" {
			t.Fatal(exit)
		}
		if disk := admin.call("GET", "/nodes/pve1/qemu/150/config").object()["scsi0"]; disk != "nas:112/base-112-disk-0.qcow2/150/vm-150-disk-0.qcow2,size=1G" {
			t.Errorf("clone's disk %v", disk)
		}
		admin.must("500 can't clone VM to node 'pve2' (VM uses local storage)", "POST", "/nodes/pve1/qemu/113/clone", "newid=151", "target=pve2")
		if exit := admin.task("DELETE", "/nodes/pve2/qemu/112"); exit != "base volume 'nas:112/base-112-disk-0.qcow2' is still in use by linked cloned" {
			t.Errorf("the base of a clone on another node: %s", exit)
		}
		if exit := admin.task("DELETE", "/nodes/pve1/qemu/150"); exit != "OK" {
			t.Error(exit)
		}
		if exit := admin.task("DELETE", "/nodes/pve2/qemu/112"); exit != "OK" {
			t.Error(exit)
		}
		if left := admin.call("GET", "/nodes/pve1/storage/nas/content", "content=images").list(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
		if got := admin.call("GET", "/nodes/pve1/storage/nas/status").object(); got["shared"] != 1.0 || got["type"] != "nfs" || got["total"] != float64(1000*runner.GiB) {
			t.Errorf("status %v", got)
		}
	})
}
