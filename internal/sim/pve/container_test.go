package pve

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	containers = "/nodes/pve1/lxc"
	debian     = "ostemplate=local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst"
)

// minimal are the parameters of a container in the resource pool of runners.
func minimal(vmid string, more ...string) []string {
	return append([]string{
		"vmid=" + vmid, debian, "rootfs=local-lvm:1", "unprivileged=1", "features=nesting=1", "hostname=ctl", "memory=256", "swap=0",
		"cores=1", "net0=name=eth0,bridge=vmbr0,ip=192.0.2.5/24,gw=192.0.2.1",
	}, more...)
}

// From the captures x2-lxc-create-*, lxc-config, x2-lxc-current-*, lxc-stop-stopped, x2-lxc-delete-running.
func TestContainerIsMadeStartedStoppedAndDestroyed(t *testing.T) {
	bubble(t, Options{MayUpload: true}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		upid := fleet.must("200 OK", "POST", containers, minimal("201", "pool=ci", "description=x", "onboot=1")...).text()
		if !strings.Contains(upid, ":vzcreate:201:ci@pve!mayfly:") {
			t.Errorf("task %s", upid)
		}
		if exit := fleet.wait(upid); exit != "OK" {
			t.Fatal(exit)
		}
		ct := containers + "/201"
		cfg := fleet.must("200 OK", "GET", ct+"/config").object()
		for opt, want := range map[string]any{
			"hostname": "ctl", "memory": 256.0, "swap": 0.0, "unprivileged": 1.0, "arch": "amd64", "ostype": "debian", "features": "nesting=1",
			"rootfs": "local-lvm:vm-201-disk-0,size=1G", "lock": nil,
		} {
			if cfg[opt] != want {
				t.Errorf("%s is %v, want %v", opt, cfg[opt], want)
			}
		}
		if net, _ := cfg["net0"].(string); !strings.HasPrefix(net, "name=eth0,bridge=vmbr0,gw=192.0.2.1,hwaddr=BC:24:11:") || !strings.HasSuffix(net, ",ip=192.0.2.5/24,type=veth") {
			t.Errorf("net0 %q", net)
		}
		fleet.must("500 CT 201 not running", "POST", ct+"/status/stop")
		fleet.must("500 CT 201 not running", "POST", ct+"/status/shutdown")
		if exit := fleet.task("POST", ct+"/status/start"); exit != "OK" {
			t.Fatal(exit)
		}
		fleet.must("500 CT 201 already running", "POST", ct+"/status/start")
		fleet.must("500 unable to destroy CT 201 - container is running", "DELETE", ct)
		if st := fleet.must("200 OK", "GET", ct+"/status/current").object(); st["status"] != "running" || st["name"] != "ctl" || st["maxdisk"] != float64(1<<30) {
			t.Errorf("status %v", st)
		}
		fleet.must("200 OK", "PUT", ct+"/config", "tags=b;a")
		time.Sleep(11 * time.Second)
		var entry map[string]any
		for _, e := range fleet.must("200 OK", "GET", "/cluster/resources", "type=vm").list() {
			if e["id"] == "lxc/201" {
				entry = e
			}
		}
		if entry["type"] != "lxc" || entry["status"] != "running" || entry["tags"] != "a;b" || entry["pool"] != "ci" || entry["name"] != "ctl" {
			t.Errorf("in /cluster/resources: %v", entry)
		}
		if exit := fleet.task("POST", ct+"/status/stop"); exit != "OK" {
			t.Fatal(exit)
		}
		if exit := fleet.task("DELETE", ct, "purge=1"); exit != "OK" {
			t.Fatal(exit)
		}
		fleet.must("403 Permission check failed (/vms/201, VM.Audit)", "GET", ct+"/config")
		adminOf(t, s).must("500 Configuration file 'nodes/pve1/lxc/201.conf' does not exist", "GET", ct+"/config")
		if left := adminOf(t, s).call("GET", "/nodes/pve1/storage/local-lvm/content", "vmid=201").list(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// From the captures lxc-create-*, x2-lxc-create-privileged, -keyctl.
func TestContainerCreationIsRefusedAsRecorded(t *testing.T) {
	bubble(t, Options{MayUpload: true}, func(t *testing.T, s *Server) {
		admin, fleet := adminOf(t, s), fleetOf(t, s)
		with := func(drop string, more ...string) []string {
			p := slices.DeleteFunc(minimal("201", "pool=ci"), func(f string) bool { return strings.HasPrefix(f, drop) })
			return append(p, more...)
		}
		fleet.must("403 Permission check failed (/vms/201, VM.Config.Options)", "POST", containers, with("-", "tags=a")...)
		fleet.must("403 Permission check failed (/, Sys.Modify)", "POST", containers, with("unprivileged", "unprivileged=0")...)
		fleet.must("403 Permission check failed (changing feature flags (except nesting) is only allowed for root@pam)", "POST", containers,
			with("features", "features=nesting=1,keyctl=1")...)
		fleet.must("403 Permission check failed", "POST", containers, with("pool")...)
		fleet.must("403 Permission check failed (/sdn/zones/localnetwork/vmbr7, SDN.Use)", "POST", containers,
			with("net0", "net0=name=eth0,bridge=vmbr7")...)
		fleet.must("500 Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.", "POST", containers,
			with("ostemplate", "ostemplate=nonsense")...)
		fleet.must("500 storage 'nosuch' does not exist", "POST", containers, with("rootfs", "rootfs=nosuch:1")...)
		a := admin.must("400 Parameter verification failed.", "POST", containers, with("rootfs", "rootfs=local:1")...)
		if a.Errors["storage"] != "storage 'local' does not support container directories" {
			t.Errorf("%v", a.Errors)
		}
		fleet.must("500 VM 9000 already exists on node 'pve1'", "POST", containers, minimal("9000", "pool=ci")...)
		const missing = "unable to create CT 201 - volume 'local:vztmpl/nosuch.tar.zst' does not exist"
		if exit := fleet.task("POST", containers, with("ostemplate", "ostemplate=local:vztmpl/nosuch.tar.zst")...); exit != missing {
			t.Errorf("exit status %q", exit)
		}
		if left := s.State().Containers; len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
		if exit := admin.task("POST", containers, with("net0", "start=1", "net0=name=eth0,bridge=vmbr7")...); exit != "startup for container '201' failed" {
			t.Errorf("exit status %q", exit)
		}
		admin.must("500 unable to create VM 201 - CT 201 already exists on node 'pve1'", "POST", "/nodes/pve1/qemu", "vmid=201")
		admin.must("500 CT 201 already exists on node 'pve1'", "POST", "/nodes/pve1/qemu/9000/clone", "newid=201")
		admin.must("400 Parameter verification failed.", "GET", "/cluster/nextid", "vmid=201")
	})
}

// From the captures x2-lxc-put-*.
func TestContainerConfigIsChangedAtOnceOrAtTheNextStart(t *testing.T) {
	bubble(t, Options{MayUpload: true}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		if exit := fleet.task("POST", containers, minimal("201", "pool=ci", "start=1")...); exit != "OK" {
			t.Fatal(exit)
		}
		config := containers + "/201/config"
		fleet.must("500 detected modified configuration - file changed by other user? Try again.", "PUT", config, "tags=x", "digest="+strings.Repeat("0", 40))
		fleet.must("500 no options specified", "PUT", config)
		fleet.must("200 OK", "PUT", config, "description=a: b\nc", "cores=2", "timezone=UTC")
		now := fleet.must("200 OK", "GET", config, "current=1").object()
		next := fleet.must("200 OK", "GET", config).object()
		if now["description"] != "a: b\nc" || now["cores"] != 2.0 || now["timezone"] != nil || next["timezone"] != "UTC" {
			t.Errorf("now %v, next %v", now, next)
		}
		fleet.must("200 OK", "PUT", config, "delete=description")
		if exit := fleet.task("POST", containers+"/201/status/stop"); exit != "OK" {
			t.Fatal(exit)
		}
		if exit := fleet.task("POST", containers+"/201/status/start"); exit != "OK" {
			t.Fatal(exit)
		}
		now = fleet.must("200 OK", "GET", config, "current=1").object()
		if now["timezone"] != "UTC" || now["description"] != nil {
			t.Errorf("after the restart: %v", now)
		}
	})
}

func TestContainerPlaysWhatIsInItsArchive(t *testing.T) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl someone"
	type seen struct {
		start   int
		archive string
		keys    string
	}
	heard, ended := make(chan seen, 2), make(chan struct{}, 2)
	opts := Options{MayUpload: true, Container: func(ctx context.Context, c *Container) {
		r, err := c.Archive()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = r.Close() }()
		data, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		heard <- seen{c.Start, string(data), c.AuthorizedKeys}
		<-ctx.Done()
		ended <- struct{}{}
	}}
	bubble(t, opts, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		if exit := fleet.wait(fleet.upload("local", false, part{"content", "", "vztmpl"}, part{"filename", "once.tar.zst", "an archive"}).text()); exit != "OK" {
			t.Fatal(exit)
		}
		p := minimal("201", "pool=ci", "start=1", "ssh-public-keys="+key)
		p[1] = "ostemplate=local:vztmpl/once.tar.zst"
		if exit := fleet.task("POST", containers, p...); exit != "OK" {
			t.Fatal(exit)
		}
		if exit := fleet.task("DELETE", "/nodes/pve1/storage/local/content/local:vztmpl/once.tar.zst"); exit != "OK" {
			t.Fatal(exit)
		}
		if got := <-heard; got != (seen{1, "an archive", key}) {
			t.Errorf("first start: %+v", got)
		}
		if exit := fleet.task("POST", containers+"/201/status/shutdown"); exit != "OK" {
			t.Fatal(exit)
		}
		<-ended
		if exit := fleet.task("POST", containers+"/201/status/start"); exit != "OK" {
			t.Fatal(exit)
		}
		if text := fmt.Sprint(s.State().Containers, fleet.must("200 OK", "GET", containers+"/201/config").object()); strings.Contains(text, "ssh-ed25519") {
			t.Errorf("the keys are in the config: %s", text)
		}
		if got := <-heard; got != (seen{2, "an archive", key}) {
			t.Errorf("second start: %+v", got)
		}
	})
}

func TestAppliancesAreWhatTheOptionsSay(t *testing.T) {
	opts := Options{Appliances: []Appliance{{Template: "debian-12-standard_12.12-1_amd64.tar.zst", Location: "http://images.example/d.tar.zst", SHA512: "ab"}}}
	bubble(t, opts, func(t *testing.T, s *Server) {
		list := fleetOf(t, s).must("200 OK", "GET", "/nodes/pve1/aplinfo").list()
		if len(list) != 1 {
			t.Fatalf("%v", list)
		}
		m := list[0]
		for k, want := range map[string]any{
			"package": "debian-12-standard", "version": "12.12-1", "architecture": "amd64", "os": "debian-12", "sha512sum": "ab",
			"template": "debian-12-standard_12.12-1_amd64.tar.zst", "location": "http://images.example/d.tar.zst",
		} {
			if m[k] != want {
				t.Errorf("%s is %v, want %v", k, m[k], want)
			}
		}
	})
}
