package pve

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// What the fleet's token is refused when one privilege is taken out of its roles. From the privileges that were found
// by trial on Proxmox VE 9.2.
func TestEachPrivilegeOfTheFleetsRolesIsNeeded(t *testing.T) {
	type ask struct {
		method, path string
		params       []string
		want         string
	}
	deny := func(path, priv string) string { return "403 Permission check failed (" + path + ", " + priv + ")" }
	const vm = "/vms/270"
	asks := map[string]ask{
		"CIRunnerVM VM.Allocate":                {"DELETE", vmPath("270"), nil, deny(vm, "VM.Allocate")},
		"CIRunnerVM VM.Audit":                   {"GET", vmPath("270", "/config"), nil, deny(vm, "VM.Audit")},
		"CIRunnerVM VM.PowerMgmt":               {"POST", vmPath("270", "/status/stop"), nil, deny(vm, "VM.PowerMgmt")},
		"CIRunnerVM VM.Config.Options":          {"PUT", vmPath("270", "/config"), []string{"description=x"}, deny(vm, "VM.Config.Options")},
		"CIRunnerVM VM.Config.CPU":              {"PUT", vmPath("270", "/config"), []string{"cores=1"}, deny(vm, "VM.Config.CPU")},
		"CIRunnerVM VM.Config.Memory":           {"PUT", vmPath("270", "/config"), []string{"memory=512"}, deny(vm, "VM.Config.Memory")},
		"CIRunnerVM VM.Config.Network":          {"PUT", vmPath("270", "/config"), []string{"net0=virtio,bridge=vmbr0"}, deny(vm, "VM.Config.Network")},
		"CIRunnerVM VM.Config.Disk":             {"PUT", vmPath("270", "/resize"), []string{"disk=scsi0", "size=+1G"}, deny(vm, "VM.Config.Disk")},
		"CIRunnerVM VM.Config.CDROM":            {"PUT", vmPath("270", "/config"), []string{"ide2=none,media=cdrom"}, deny(vm, "VM.Config.CDROM")},
		"CIRunnerVM VM.Config.HWType":           {"PUT", vmPath("270", "/config"), []string{"machine=q35"}, deny(vm, "VM.Config.HWType")},
		"CIRunnerVM VM.GuestAgent.Audit":        {"POST", vmPath("270", "/agent/ping"), nil, deny(vm, "VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted")},
		"CIRunnerVM VM.GuestAgent.Unrestricted": {"POST", vmPath("270", "/agent/exec"), []string{"command=true"}, deny(vm, "VM.GuestAgent.Unrestricted")},
		// Either of two does.
		"CIRunnerVM VM.Config.Cloudinit":       {"PUT", vmPath("270", "/config"), []string{"ciuser=x"}, deny(vm, "VM.Config.Cloudinit|VM.Config.Network")},
		"PVETemplateUser VM.Clone":             {"POST", vmPath("9000", "/clone"), []string{"newid=271", "pool=ci"}, deny("/vms/9000", "VM.Clone")},
		"PVETemplateUser VM.Audit":             {"GET", vmPath("9000", "/config"), nil, deny("/vms/9000", "VM.Audit")},
		"CIRunnerDS Datastore.AllocateSpace":   {"POST", vmPath("9000", "/clone"), []string{"newid=271", "pool=ci"}, deny("/storage/local-lvm", "Datastore.AllocateSpace")},
		"PVESDNUser SDN.Use":                   {"POST", vmPath("9000", "/clone"), []string{"newid=271", "pool=ci"}, deny("/sdn/zones/localnetwork/vmbr0", "SDN.Use")},
		"CIRunnerVM VM.Allocate (on the pool)": {"POST", vmPath("9000", "/clone"), []string{"newid=271", "pool=ci"}, "403 Permission check failed"},
	}
	also := map[string][]string{ // what has to go, too, before the privilege is missed
		"VM.GuestAgent.Audit": {"VM.GuestAgent.Unrestricted"}, "VM.Config.Cloudinit": {"VM.Config.Network"},
	}
	for _, name := range slices.Sorted(maps.Keys(asks)) {
		t.Run(name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, s *Server) {
				a := asks[name]
				fleet := fleetOf(t, s)
				fleet.vmFor("270")
				if got := fleet.call(a.method, a.path, a.params...).status; strings.HasPrefix(got, "403") {
					t.Fatalf("with all its roles: %s", got)
				}
				if strings.HasPrefix(a.want, "403") && a.method == "DELETE" {
					fleet.call("GET", "/nodes/pve1/tasks")
				}
				f := strings.Fields(name)
				gone := append([]string{f[1]}, also[f[1]]...)
				s.mu.Lock()
				s.roles[f[0]] = slices.DeleteFunc(slices.Clone(s.roles[f[0]]), func(p string) bool { return slices.Contains(gone, p) })
				if s.vms[270] == nil || a.method == "DELETE" { // the first call was its end
					v := s.plainVM("pve1", 270, "again", poolRunners)
					v.record.Pool = poolRunners
				}
				delete(s.vms, 271)
				s.mu.Unlock()
				fleet.must(a.want, a.method, a.path, a.params...)
			})
		})
	}
}

func TestFleetTokenHasExactlyItsDocumentedRights(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		got := map[string]string{}
		for _, path := range []string{"/", "/vms/200", "/vms/207", "/vms/9000", "/storage/local", "/storage/local-lvm", "/nodes/pve1", "/sdn/zones/localnetwork/vmbr0"} {
			perms, _ := fleet.must("200 OK", "GET", "/access/permissions", "path="+path).object()[path].(map[string]any)
			got[path] = strings.Join(slices.Sorted(maps.Keys(perms)), " ")
		}
		want := map[string]string{
			"/": "", "/vms/207": "", "/storage/local": "",
			"/vms/200": "Pool.Audit VM.Allocate VM.Audit VM.Config.CDROM VM.Config.CPU VM.Config.Cloudinit VM.Config.Disk VM.Config.HWType " +
				"VM.Config.Memory VM.Config.Network VM.Config.Options VM.GuestAgent.Audit VM.GuestAgent.Unrestricted VM.PowerMgmt",
			"/vms/9000": "VM.Audit VM.Clone", "/storage/local-lvm": "Datastore.AllocateSpace Datastore.Audit", "/nodes/pve1": "Sys.Audit",
			"/sdn/zones/localnetwork/vmbr0": "SDN.Audit SDN.Use",
		}
		for path := range want {
			if got[path] != want[path] {
				t.Errorf("%s: %q, want %q", path, got[path], want[path])
			}
		}
	})
}

func TestFleetTokenSeesOnlyItsPoolsAndMayNotTouchTemplates(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet, admin := fleetOf(t, s), adminOf(t, s)
		count := func(c caller) int {
			return strings.Count(string(c.must("200 OK", "GET", "/nodes/pve1/qemu").Data), `"vmid"`)
		}
		if n := count(fleet); n != 7 { // six decoys and the template
			t.Errorf("the fleet sees %d VMs", n)
		}
		if n := count(admin); n != 13 {
			t.Errorf("the administrator sees %d VMs", n)
		}
		fleet.must("403 Permission check failed (/vms/9000, VM.Allocate)", "DELETE", vmPath("9000"))
		fleet.must("403 Permission check failed (/vms/207, VM.Audit)", "GET", vmPath("207", "/config"))
		fleet.must("403 Permission check failed", "POST", vmPath("9000", "/clone"), "newid=270") // pool=ci is mandatory
		fleet.must("403 Permission check failed", "POST", vmPath("9000", "/clone"), "newid=270", "pool=ci-templates")
	})
}

func TestRevokedTokenIs401(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		fleet.must("200 OK", "GET", vmPath("9000", "/config"))
		s.mu.Lock()
		s.access.tokens[fleetToken].disabled = true
		s.mu.Unlock()
		fleet.must("401 Authentication failed!", "GET", vmPath("9000", "/config"))
	})
}
