package pve

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// Which refusals come at once and which only as a task's exit status (recorded from Proxmox VE 9.2: captures start-*,
// stop-*, shutdown-*, reset-*, reboot-*, locked-*, delete-*, template-*).
func TestRefusalsComeAtOnceOrInTheTaskAsRecorded(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		for _, id := range []string{"270", "271", "272", "273"} {
			admin.vmFor(id)
		}
		for _, id := range []string{"271", "273"} {
			if exit := admin.task("POST", vmPath(id, "/status/start")); exit != "OK" {
				t.Fatal(exit)
			}
		}
		s.lock()
		s.vms[272].conf["lock"], s.vms[273].conf["lock"] = "backup", "backup" // vzdump's
		s.mu.Unlock()
		const (
			stopped, running = "270", "271"
			locked           = "272" // stopped
			lockedRunning    = "273"
		)
		for _, c := range []struct {
			id, method, what string
			want             string // with a status code: at once; else the task's exit status
		}{
			{stopped, "POST", "/status/stop", "OK"},
			{stopped, "POST", "/status/shutdown", "OK"},
			{stopped, "POST", "/status/reset", "500 VM 270 not running"},
			{stopped, "POST", "/status/reboot", "500 VM 270 not running"},
			{running, "POST", "/status/start", "VM 271 already running"},
			{running, "DELETE", "", "500 VM 271 is running - destroy failed"},
			{running, "POST", "/template", "500 you can't convert a VM to template if VM is running"},
			{running, "POST", "/status/reset", "OK"},
			{locked, "POST", "/status/start", "VM is locked (backup)"},
			{locked, "POST", "/status/stop", "OK"},
			{locked, "POST", "/status/shutdown", "OK"},
			{locked, "POST", "/status/reset", "500 VM 272 not running"},
			{locked, "DELETE", "", "VM is locked (backup)"},
			{locked, "PUT", "/config", "500 VM is locked (backup)"},
			{locked, "POST", "/config", "500 VM is locked (backup)"},
			{locked, "POST", "/clone", "500 VM is locked (backup)"},
			{lockedRunning, "POST", "/status/start", "OK"}, // resumed
			{lockedRunning, "POST", "/status/stop", "VM is locked (backup)"},
			{lockedRunning, "POST", "/status/shutdown", "VM is locked (backup)"},
			{lockedRunning, "POST", "/status/reset", "VM is locked (backup)"},
			{lockedRunning, "DELETE", "", "500 VM 273 is running - destroy failed"},
			{"9000", "POST", "/status/start", "you can't start a vm if it's a template"},
			{"9000", "POST", "/template", "500 you can't convert a template to a template"},
			{"7777", "POST", "/status/start", "Configuration file 'nodes/pve1/qemu-server/7777.conf' does not exist"},
			{"7777", "POST", "/status/stop", "unable to find configuration file for VM 7777 on node 'pve1'"},
			{"7777", "POST", "/status/shutdown", "unable to find configuration file for VM 7777 on node 'pve1'"},
			{"7777", "GET", "/config", "500 Configuration file 'nodes/pve1/qemu-server/7777.conf' does not exist"},
			{"7777", "GET", "/status/current", "500 Configuration file 'nodes/pve1/qemu-server/7777.conf' does not exist"},
			{"7777", "DELETE", "", "500 Configuration file 'nodes/pve1/qemu-server/7777.conf' does not exist"},
			{"7777", "POST", "/clone", "500 unable to find configuration file for VM 7777 on node 'pve1'"},
			{"7777", "POST", "/agent/ping", "500 Configuration file 'nodes/pve1/qemu-server/7777.conf' does not exist"},
		} {
			var params []string
			switch c.what {
			case "/config":
				if c.method != "GET" {
					params = []string{"description=x"}
				}
			case "/clone":
				params = []string{"newid=290"}
			}
			a := admin.call(c.method, vmPath(c.id, c.what), params...)
			got := a.status
			if got == "200 OK" {
				got = admin.wait(a.text())
			}
			if got != c.want {
				t.Errorf("%s %s%s: got %q, want %q", c.method, c.id, c.what, got, c.want)
			}
		}
		for _, what := range []string{"/status/start", "/status/stop", "/status/shutdown", "/status/reset"} {
			a := admin.must("400 Parameter verification failed.", "POST", vmPath("271", what), "skiplock=1")
			if a.Errors["skiplock"] != "Only root may use this option." {
				t.Errorf("%s: %v", what, a.Errors)
			}
		}
	})
}

func TestCloneParametersAreRefusedWithProxmoxWords(t *testing.T) {
	bubble(t, Options{Nodes: []string{"pve1", "pve2"}}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		admin.vmFor("270")
		clone := vmPath("9000", "/clone")
		admin.must("500 unable to create VM 9000: config file already exists", "POST", clone, "newid=9000")
		admin.must("500 no such cluster node 'pve9'", "POST", clone, "newid=271", "target=pve9")
		admin.must("500 can't clone VM to node 'pve2' (VM uses local storage)", "POST", clone, "newid=271", "target=pve2")
		admin.must("500 parameter 'storage' not allowed for linked clones", "POST", clone, "newid=271", "storage=local-lvm")
		admin.must("500 parameter 'format' not allowed for linked clones", "POST", clone, "newid=271", "format=raw")
		admin.must("500 storage 'nosuch' does not exist", "POST", clone, "newid=271", "full=1", "storage=nosuch")
		admin.must("403 Permission check failed (pool 'nosuch' does not exist)", "POST", clone, "newid=271", "pool=nosuch")
		admin.must("500 snapshot 'nosuch' does not exist", "POST", clone, "newid=271", "snapname=nosuch")
		admin.must("500 unable to find configuration file for VM 9001 on node 'pve1'", "POST", vmPath("9001", "/clone"), "newid=271")
		a := admin.must("400 Parameter verification failed.", "POST", clone, "newid=271", "full=1", "storage=local")
		if a.Errors["storage"] != "storage 'local' does not support vm images" {
			t.Errorf("storage: %v", a.Errors)
		}
		a = admin.must("400 Parameter verification failed.", "POST", clone, "newid=99")
		if a.Errors["newid"] != "invalid format - value does not look like a valid VM ID\n" {
			t.Errorf("newid: %q", a.Errors["newid"])
		}
		a = admin.call("POST", vmPath("270", "/clone"), "newid=271", "full=0")
		volume := s.State().vm(270).Config["scsi0"]
		if want := "500 Linked clone feature is not supported for '" + parseDrive("scsi0", volume).file + "' (scsi0)"; a.status != want {
			t.Errorf("linked clone of a VM: %q, want %q", a.status, want)
		}
		if exit := admin.task("POST", clone, "newid=272", "full=1", "storage=local-lvm"); exit != "OK" {
			t.Errorf("full clone: %s", exit)
		}
	})
}

// vm is the last VM with the id.
func (st State) vm(id int) VMState {
	var out VMState
	for _, v := range st.VMs {
		if v.VMID == id {
			out = v
		}
	}
	return out
}

// deafEngine has machines that don't hear the power button.
type deafEngine struct{ Engine }

func (deafEngine) Shutdown(context.Context, int) error { return nil }

func TestShutdownWaitsForTheGuestWithTheLockHeld(t *testing.T) {
	bubble(t, Options{Engine: deafEngine{newBlankEngine()}}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		fleet.vmFor("270")
		fleet.task("POST", vmPath("270", "/status/start"))
		began := time.Now()
		if exit := fleet.task("POST", vmPath("270", "/status/shutdown"), "timeout=7"); exit != "VM quit/powerdown failed - got timeout" {
			t.Errorf("exit status %q", exit)
		}
		if d := time.Since(began).Truncate(time.Second); d != 7*time.Second {
			t.Errorf("waited %v, not the 7 s that were asked for", d)
		}
		upid := fleet.call("POST", vmPath("270", "/status/shutdown")).text()
		time.Sleep(time.Second)
		if exit := fleet.task("POST", vmPath("270", "/status/stop")); exit != "can't lock file '/var/lock/qemu-server/lock-270.conf' - got timeout" {
			t.Errorf("stop while a shutdown waits: %q", exit)
		}
		if exit := fleet.task("POST", vmPath("270", "/status/stop"), "overrule-shutdown=1"); exit != "OK" {
			t.Errorf("overruling stop: %q", exit)
		}
		if exit := fleet.wait(upid); exit != "received interrupt" {
			t.Errorf("overruled shutdown: %q", exit)
		}
		fleet.task("POST", vmPath("270", "/status/start"))
		if exit := fleet.task("POST", vmPath("270", "/status/shutdown"), "timeout=1", "forceStop=1"); exit != "OK" {
			t.Errorf("forced shutdown: %q", exit)
		}
		if st := s.State().vm(270); st.Status != "stopped" || len(st.StoppedAt) != 2 {
			t.Errorf("after the forced shutdown: %s, stopped at %v", st.Status, st.StoppedAt)
		}
	})
}

// hookEngine lets a test see starts and spoil them.
type hookEngine struct {
	Engine
	start func(Machine) error
}

func (e hookEngine) Start(ctx context.Context, m Machine) error {
	if err := e.start(m); err != nil {
		return err
	}
	return e.Engine.Start(ctx, m)
}

func TestMachineThatPowersOffIsStoppedAtOnceAndOnlyItsOwnExitCounts(t *testing.T) {
	var machines []Machine
	e := hookEngine{newBlankEngine(), func(m Machine) error {
		machines = append(machines, m)
		return nil
	}}
	bubble(t, Options{Engine: e}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		fleet.vmFor("270")
		status := func() any {
			return fleet.call("GET", vmPath("270", "/status/current")).object()["status"]
		}
		fleet.task("POST", vmPath("270", "/status/start"))
		machines[0].Exited()
		if status() != "stopped" {
			t.Error("the VM still runs after its machine powered off")
		}
		fleet.task("POST", vmPath("270", "/status/start"))
		machines[0].Exited() // an old machine's word
		if status() != "running" {
			t.Error("an old machine's exit stopped the new one")
		}
		fleet.task("POST", vmPath("270", "/status/stop"))
		machines[1].Exited() // after Stop: nothing new
		if st := s.State().vm(270); len(st.StartedAt) != 2 || len(st.StoppedAt) != 2 {
			t.Errorf("started %v, stopped %v", st.StartedAt, st.StoppedAt)
		}
		if m := machines[1]; m.VMID != 270 || m.Template != templateID || m.Name != "r270" || m.Cores != 2 || m.Memory != 4<<30 ||
			m.MAC == "" || m.Config["name"] != "r270" {
			t.Errorf("machine %+v", m)
		}
	})
}

func TestEngineErrorIsTheTasksExitStatus(t *testing.T) {
	e := hookEngine{newBlankEngine(), func(Machine) error { return errors.New("start failed: QEMU exited with code 1") }}
	bubble(t, Options{Engine: e}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		fleet.vmFor("270")
		if exit := fleet.task("POST", vmPath("270", "/status/start")); exit != "start failed: QEMU exited with code 1" {
			t.Errorf("exit status %q", exit)
		}
		if st := fleet.call("GET", vmPath("270", "/status/current")).object()["status"]; st != "stopped" {
			t.Errorf("status %v", st)
		}
	})
}

func TestStartTakesPendingChangesAndTripsOverWhatIsMissing(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		admin.vmFor("270")
		start := func() string { t.Helper(); return admin.task("POST", vmPath("270", "/status/start")) }
		if exit := start(); exit != "OK" {
			t.Fatal(exit)
		}
		admin.must("200 OK", "PUT", vmPath("270", "/config"), "cores=4", "description=now")
		if cpus := admin.call("GET", vmPath("270", "/status/current")).object()["cpus"]; cpus != 2.0 {
			t.Errorf("cores of the running VM: %v", cpus)
		}
		if exit := admin.task("POST", vmPath("270", "/status/reboot")); exit != "OK" {
			t.Fatal(exit)
		}
		if cpus := admin.call("GET", vmPath("270", "/status/current")).object()["cpus"]; cpus != 4.0 {
			t.Errorf("cores after the reboot: %v", cpus)
		}
		admin.task("POST", vmPath("270", "/status/stop"))
		admin.must("200 OK", "PUT", vmPath("270", "/config"), "net0=virtio,bridge=vmbr77")
		if exit := start(); exit != "bridge 'vmbr77' does not exist" {
			t.Errorf("missing bridge: %q", exit)
		}
		admin.must("200 OK", "PUT", vmPath("270", "/config"), "net0=virtio,bridge=vmbr0", "memory=999999")
		upid := admin.call("POST", vmPath("270", "/status/start")).text()
		if exit := admin.wait(upid); exit != "start failed: QEMU exited with code 1" {
			t.Errorf("too much memory: %q", exit)
		}
		if log := admin.log(upid); !slices.Contains(log, "kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory") {
			t.Errorf("log: %q", log)
		}
	})
}
