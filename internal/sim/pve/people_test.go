package pve

import (
	"net/http"
	"testing"
)

func TestPeopleCopyEditRestoreAndDropVMs(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		admin.vmFor("270")
		admin.must("200 OK", http.MethodPut, vmPath("270", "/config"), "description=ours", "tags=mayfly")
		if err := s.Copy(270, 271, ""); err != nil {
			t.Fatal(err)
		}
		conf := admin.call(http.MethodGet, vmPath("271", "/config")).object()
		if conf["description"] != "ours" || conf["tags"] != "mayfly" || conf["scsi0"] == admin.call(http.MethodGet, vmPath("270", "/config")).object()["scsi0"] {
			t.Errorf("the copy is %v", conf)
		}
		if s.Copy(270, 271, "") == nil || s.Copy(4242, 272, "") == nil || s.Copy(270, 272, "nosuch") == nil {
			t.Error("an impossible copy succeeded")
		}
		if err := s.Edit(270, map[string]string{"tags": "", "cores": "7"}); err != nil {
			t.Fatal(err)
		}
		if conf := admin.call(http.MethodGet, vmPath("270", "/config")).object(); conf["tags"] != nil || conf["cores"] != 7.0 {
			t.Errorf("edited: %v", conf)
		}
		saved, err := s.Backup(270)
		if err != nil {
			t.Fatal(err)
		}
		if exit := admin.task(http.MethodPost, vmPath("270", "/status/start")); exit != "OK" {
			t.Fatal(exit)
		}
		if err := s.Drop(270); err != nil {
			t.Fatal(err)
		}
		if v := s.State().vm(270); v.Status != "destroyed" || len(v.StoppedAt) != 1 {
			t.Errorf("dropped: %+v", v)
		}
		if err := s.Restore(saved, "pve1", 270, "ci"); err != nil {
			t.Fatal(err)
		}
		if exit := admin.task(http.MethodPost, vmPath("270", "/status/start")); exit != "OK" {
			t.Errorf("start of the restored VM: %s", exit)
		}
		if s.Restore(saved, "pve1", 270, "ci") == nil || s.Edit(4242, nil) == nil || s.Drop(4242) == nil {
			t.Error("an impossible thing succeeded")
		}
	})
}

func TestFullStorageRefusesClones(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		if err := s.FillStorage("pve1", "local-lvm", true); err != nil {
			t.Fatal(err)
		}
		const exit = "clone failed: lvcreate snapshot 'pve/vm-270-disk-0' error: Cannot create new thin volume, free space in thin pool pve/data reached threshold."
		if got := fleet.task(http.MethodPost, vmPath("9000", "/clone"), "newid=270", "pool=ci"); got != exit {
			t.Errorf("%s", got)
		}
		if st := fleet.call(http.MethodGet, "/nodes/pve1/storage/local-lvm/status").object(); st["avail"] != 0.0 {
			t.Errorf("%v", st)
		}
		if err := s.FillStorage("pve1", "local-lvm", false); err != nil {
			t.Fatal(err)
		}
		fleet.vmFor("270")
		if s.FillStorage("pve1", "nosuch", true) == nil {
			t.Error("filled a storage that isn't there")
		}
	})
}

func TestRemovalThatLeaksEndsWithWarningsAndLeavesTheDisks(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		admin.vmFor("270")
		spec := FaultSpec{Match: FaultMatch{Task: "qmdestroy", VMID: 270}, Kind: "leak", Reason: "lvremove 'pve/vm-270-disk-0' error: Logical volume pve/vm-270-disk-0 in use."}
		if _, err := s.Fault(spec); err != nil {
			t.Fatal(err)
		}
		if exit := admin.task(http.MethodDelete, vmPath("270"), "purge=1", "destroy-unreferenced-disks=1"); exit != "WARNINGS: 1" {
			t.Errorf("%s", exit)
		}
		admin.must("500 Configuration file 'nodes/pve1/qemu-server/270.conf' does not exist", http.MethodGet, vmPath("270", "/config"))
		if disk := find(admin.call(http.MethodGet, "/nodes/pve1/storage/local-lvm/content").list(), "volid", "local-lvm:vm-270-disk-0"); disk == nil {
			t.Error("the disk went")
		}
		spec.Match.Task = "qmclone"
		if _, err := s.Fault(spec); err == nil {
			t.Error("a clone that leaks was armed")
		}
	})
}

// Something on the way may repeat a call: the agent then runs a program twice.
func TestRequestThatComesTwiceTakesEffectTwice(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		fleet.vmFor("270")
		if exit := fleet.task(http.MethodPost, vmPath("270", "/status/start")); exit != "OK" {
			t.Fatal(exit)
		}
		if _, err := s.Fault(FaultSpec{Match: FaultMatch{Path: "**/agent/exec", VMID: 270}, Kind: "twice"}); err != nil {
			t.Fatal(err)
		}
		first := fleet.must("200 OK", http.MethodPost, vmPath("270", "/agent/exec"), "command=true").object()
		second := fleet.must("200 OK", http.MethodPost, vmPath("270", "/agent/exec"), "command=true").object()
		if first["pid"] != 702.0 || second["pid"] != 703.0 {
			t.Errorf("process ids %v and %v", first["pid"], second["pid"])
		}
	})
}
