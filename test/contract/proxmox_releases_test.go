package contract_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/sim/pve"
)

// privilegesOf gives the privileges that a method of the schema names, read apart from the stand-in's own reader.
func privilegesOf(t *testing.T, release, method, path string) []string {
	t.Helper()
	data, err := os.ReadFile("../../internal/sim/pve/data/" + schemaFiles[release])
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Method, Path string
		Permissions  struct{ Check []json.RawMessage }
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		var list []string
		if m.Method == method && m.Path == path && len(m.Permissions.Check) > 2 && json.Unmarshal(m.Permissions.Check[2], &list) == nil {
			return list
		}
	}
	t.Fatalf("%s: the schema names no privileges for %s %s", release, method, path)
	return nil
}

// agentCalls are the guest agent's, by their schema's path below the VM.
var agentCalls = map[string]string{
	"/agent/ping": "POST", "/agent/exec": "POST", "/agent/exec-status": "GET", "/agent/file-read": "GET", "/agent/file-write": "POST",
	"/agent/network-get-interfaces": "GET", "/agent/get-osinfo": "GET",
}

// Each privilege that either release's schema names for the guest agent opens the calls for which it is named there, and no
// others: VM.GuestAgent.* are nothing on 8.4, VM.Monitor is nothing on 9.
func TestEachReleaseTakesItsOwnPrivilegesForTheGuestAgent(t *testing.T) {
	every := map[string]bool{}
	for release := range schemaFiles {
		for call, method := range agentCalls {
			for _, p := range privilegesOf(t, release, method, "/nodes/{node}/qemu/{vmid}"+call) {
				every[p] = true
			}
		}
	}
	if len(every) != 5 {
		t.Fatalf("the schemas name %v, want five privileges", slices.Sorted(maps.Keys(every)))
	}
	for release := range schemaFiles {
		for privilege := range every {
			t.Run(release+" "+privilege, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := asRelease(t, release, privilege)
					defer w.s.Close()
					for call, method := range agentCalls {
						opened := slices.Contains(privilegesOf(t, release, method, "/nodes/{node}/qemu/{vmid}"+call), privilege)
						req := w.request(method, "/nodes/pve1/qemu/101"+call+"?command=true&pid=1&file=/x&content=x", http.NoBody)
						if got := w.send(req, "options"); opened == strings.HasPrefix(got.status, "403") {
							t.Errorf("%s: %s, opened by the schema: %v", call, got.status, opened)
						}
					}
				})
			})
		}
	}
}

// asRelease is a server of that release whose token "options" has the one privilege on /vms, with a running VM 101.
func asRelease(t *testing.T, release, privilege string) *proxmox {
	s := pve.New(pve.Options{
		Release: release, Roles: []pve.Role{{Name: "One", Privileges: []string{privilege}}},
		Tokens: []pve.Token{{ID: "ci@noaudit!options", Secret: tokenSecret, Roles: map[string]string{"/vms": "One"}}},
	})
	w := &proxmox{t: t, s: s, rt: s.RoundTripper(), as: "admin", path: onNode}
	w.wait(w.do("POST", "/nodes/pve1/qemu/9000/clone", "newid=101", "pool=ci"))
	w.wait(w.do("POST", "/nodes/pve1/qemu/101/status/start"))
	time.Sleep(time.Minute)
	return w
}

func TestEachReleaseKnowsItsOwnPrivilegesAndOptions(t *testing.T) {
	for release, is9 := range map[string]bool{release84: false, release92: true} {
		synctest.Test(t, func(t *testing.T) {
			w := newProxmox(t, release, "", nil)
			defer w.s.Close()
			if got := w.do("GET", "/version").field("version"); got != release {
				t.Errorf("version is %s, want %s", got, release)
			}
			granted := string(w.do("GET", "/access/permissions", "path=/").body)
			if strings.Contains(granted, "VM.GuestAgent.") != is9 || strings.Contains(granted, "VM.Monitor") == is9 {
				t.Errorf("%s: the administrator has %s", release, granted)
			}
			// allow-ksm, ha-managed and a container's environment are new in 9; a disk's geometry is gone in 9.
			for path, only9 := range map[string]bool{
				"PUT /nodes/pve1/qemu/9000/config?allow-ksm=1": true, "PUT /nodes/pve1/qemu/9000/config?delete=allow-ksm": true,
				"POST /nodes/pve1/qemu?vmid=300&ha-managed=0": true, "PUT /nodes/pve1/qemu/9000/config?scsi1=none,cyls=1,media=cdrom": false,
			} {
				method, path, _ := strings.Cut(path, " ")
				if got := w.send(w.request(method, path, http.NoBody), "admin"); strings.HasPrefix(got.status, "400") == (only9 == is9) {
					t.Errorf("%s: %s %s is answered %s %s", release, method, path, got.status, got.body)
				}
			}
		})
	}
}
