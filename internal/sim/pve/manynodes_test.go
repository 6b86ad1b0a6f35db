package pve

import (
	"errors"
	"net/http"
	"syscall"
	"testing"
)

// sentTo sends requests to one node of the cluster.
type sentTo struct {
	node string
	next http.RoundTripper
}

func (n sentTo) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = n.node + ":8006"
	r.Host = r.URL.Host
	return n.next.RoundTrip(r)
}

// TestEachNodeAnswersForTheCluster: a client that knows several addresses goes on when one node is dead.
func TestEachNodeAnswersForTheCluster(t *testing.T) {
	bubble(t, threeNodes, func(t *testing.T, s *Server) {
		local := func(node string) any {
			t.Helper()
			at := adminOf(t, s)
			at.rt = sentTo{node, at.rt}
			return find(at.call(http.MethodGet, "/cluster/status").list(), "name", "pve2")["local"]
		}
		if local("pve2") != 1.0 || local("pve3") != 0.0 || local("proxmox.example") != 0.0 {
			t.Errorf("pve2 is local to pve2 %v, to pve3 %v, to another name %v", local("pve2"), local("pve3"), local("proxmox.example"))
		}
		if err := s.KillNode(t.Context(), "pve2"); err != nil {
			t.Fatal(err)
		}
		dead := adminOf(t, s)
		dead.rt = sentTo{"pve2", dead.rt}
		if _, err := dead.try(http.MethodGet, "/version"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a dead node: %v", err)
		}
		if local("pve3") != 0.0 {
			t.Error("the others don't answer")
		}
	})
}

func TestMaintenanceIsShownAndStopsNothing(t *testing.T) {
	bubble(t, threeNodes, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		onPVE2(t, admin, "270")
		word := func() any {
			return find(admin.call(http.MethodGet, "/cluster/resources", "type=node").list(), "node", "pve2")["hastate"]
		}
		if err := s.SetMaintenance("pve2", true); err != nil || s.SetMaintenance("pve9", true) == nil {
			t.Error(err, "or a node that isn't there rests")
		}
		if word() != "maintenance" {
			t.Errorf("shown as %v", word())
		}
		if now := admin.call(http.MethodGet, "/nodes/pve2/qemu/270/status/current").object(); now["status"] != "running" {
			t.Errorf("its VM is %v", now["status"])
		}
		if err := s.SetMaintenance("pve2", false); err != nil || word() != nil {
			t.Errorf("afterwards %v, %v", word(), err)
		}
	})
}

func TestTemplateOnASharedStorageIsOneForAllNodes(t *testing.T) {
	opts := threeNodes
	opts.TemplateStorage = "ceph"
	opts.Storages = []Storage{{ID: "ceph", Type: "rbd", Content: []string{"images"}, Shared: true}}
	bubble(t, opts, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		if s.Info().Template != 9000 || len(find(fleet.call(http.MethodGet, "/cluster/resources", "type=vm").list(), "vmid", 9001.0)) != 0 {
			t.Error("more than one template")
		}
		made := func(id string) string {
			t.Helper()
			return fleet.task(http.MethodPost, "/nodes/pve1/qemu/9000/clone", "newid="+id, "pool=ci", "target=pve3")
		}
		if exit := made("270"); exit != "OK" {
			t.Fatal(exit)
		}
		if err := s.Migrate(270, "pve2"); err != nil {
			t.Fatal(err)
		}
		if disk := fleet.call(http.MethodGet, "/nodes/pve2/qemu/270/config").object()["scsi0"]; disk != "ceph:base-9000-disk-0/vm-270-disk-0,size=8G" {
			t.Errorf("disk %v", disk)
		}
		if exit := fleet.task(http.MethodDelete, "/nodes/pve2/qemu/270"); exit != "OK" {
			t.Error(exit)
		}
		if left := adminOf(t, s).call(http.MethodGet, "/nodes/pve3/storage/ceph/content", "vmid=270").list(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
		if _, err := s.Fault(FaultSpec{Match: FaultMatch{Task: "qmclone", At: "pool"}, Kind: "fail", Reason: "got lock request timeout"}); err != nil {
			t.Fatal(err)
		}
		if exit := made("272"); exit != "clone failed: got lock request timeout" {
			t.Errorf("clone whose last step fails: %s", exit)
		}
		if v := s.State().vm(272); v.Node != "pve3" || v.Pool != "" || v.DestroyedAt != nil {
			t.Errorf("a clone that has moved doesn't stay when its last step fails: %+v", v)
		}
		if left := adminOf(t, s).call(http.MethodGet, "/nodes/pve3/storage/ceph/content", "vmid=272").list(); len(left) != 0 {
			t.Errorf("its disks stay: %v", left)
		}
		if err := s.FillStorage("pve3", "ceph", true); err != nil {
			t.Fatal(err)
		}
		if exit := made("271"); exit == "OK" {
			t.Error("cloned onto a storage that is full for all")
		}
	})
}

func TestNamesAndLocksThatRootSees(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		before := len(s.Locks())
		if err := s.SetLock(9000, "backup"); err != nil {
			t.Fatal(err)
		}
		if locks := s.Locks(); locks[9000] != "backup" || len(locks) != before+1 {
			t.Errorf("locks %v", locks)
		}
		if err := s.Rename(9000, "old"); err != nil || s.Rename(9999, "x") == nil {
			t.Error(err, "or a VM that isn't there was renamed")
		}
		if name := adminOf(t, s).call(http.MethodGet, "/nodes/pve1/qemu/9000/config").object()["name"]; name != "old" {
			t.Errorf("named %v", name)
		}
	})
}
