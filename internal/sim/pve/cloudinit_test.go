package pve

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// withSnippets runs a test on a cluster whose templates have a cloud-init drive. It gets the folder of the snippets, and
// the machines in the order in which they are started.
func withSnippets(t *testing.T, fn func(t *testing.T, s *Server, dir string, started *[]Machine)) {
	t.Helper()
	dir := t.TempDir()
	var machines []Machine
	e := hookEngine{newBlankEngine(), func(m Machine) error {
		machines = append(machines, m)
		return nil
	}}
	bubble(t, Options{Engine: e, SnippetsDir: dir, CloudInitDrive: true}, func(t *testing.T, s *Server) { fn(t, s, dir, &machines) })
}

func writeFile(t *testing.T, text string, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The snippet is looked for when the start makes the ISO image (recorded from Proxmox VE 9.2: capture
// cicustom-missing-snippet-start), and copied into it then.
func TestStartCopiesTheSnippetIntoTheCloudInitDrive(t *testing.T) {
	withSnippets(t, func(t *testing.T, s *Server, dir string, started *[]Machine) {
		fleet := fleetOf(t, s)
		fleet.vmFor("270")
		if drive := s.State().vm(270).Config["ide2"]; drive != "local-lvm:vm-270-cloudinit,media=cdrom" {
			t.Fatalf("the clone's cloud-init drive is %q", drive)
		}
		fleet.must("200 OK", "PUT", vmPath("270", "/config"), "cicustom=user=local:snippets/u.yaml")
		if exit := fleet.task("POST", vmPath("270", "/status/start")); exit != "volume 'local:snippets/u.yaml' does not exist" || len(*started) > 0 {
			t.Fatalf("start without the snippet: %q, %d machines", exit, len(*started))
		}
		writeFile(t, "#cloud-config\n", dir, "u.yaml")
		upid := fleet.call("POST", vmPath("270", "/status/start")).text()
		if exit := fleet.wait(upid); exit != "OK" || !slices.Contains(fleet.log(upid), "generating cloud-init ISO") {
			t.Fatalf("start: %q, %q", exit, fleet.log(upid))
		}
		first := (*started)[0].CloudInit
		if first == nil || first.UserData != "#cloud-config\n" || !strings.HasPrefix(first.MetaData, "instance-id: ") {
			t.Fatalf("cloud-init drive: %+v", first)
		}
		// What runs has its copy; the next start reads again.
		if err := os.Remove(filepath.Join(dir, "u.yaml")); err != nil {
			t.Fatal(err)
		}
		if exit := fleet.task("POST", vmPath("270", "/status/reset")); exit != "OK" || *(*started)[1].CloudInit != *first {
			t.Errorf("reset: %q, %+v", exit, (*started)[1].CloudInit)
		}
		fleet.task("POST", vmPath("270", "/status/stop"))
		if exit := fleet.task("POST", vmPath("270", "/status/start")); exit != "volume 'local:snippets/u.yaml' does not exist" {
			t.Errorf("start again: %q", exit)
		}
		if exit := fleet.task("DELETE", vmPath("270"), "purge=1"); exit != "OK" || s.volumes["pve1/local-lvm:vm-270-cloudinit"] != nil {
			t.Errorf("delete: %q, the drive is left: %v", exit, s.volumes["pve1/local-lvm:vm-270-cloudinit"])
		}
	})
}

func TestSnippetsThatProxmoxDoesNotReadFailTheStart(t *testing.T) {
	withSnippets(t, func(t *testing.T, s *Server, dir string, started *[]Machine) {
		admin := adminOf(t, s)
		admin.vmFor("270")
		writeFile(t, strings.Repeat("#", maxSnippet+1), dir, "long.yaml")
		writeFile(t, strings.Repeat("#", maxSnippet), dir, "full.yaml")
		for _, c := range [][2]string{
			{"user=local:snippets/long.yaml", "file '/var/lib/vz/snippets/long.yaml' too long - aborting"},
			{"user=local:snippets/sub/u.yaml", "volume 'local:snippets/sub/u.yaml' does not exist"},
			{"vendor=local:snippets/gone.yaml,user=local:snippets/full.yaml", "volume 'local:snippets/gone.yaml' does not exist"},
			{
				"user=local:iso/debian-12.12.0-amd64-netinst.iso",
				"local:iso/debian-12.12.0-amd64-netinst.iso is not in the snippets directory",
			},
			{"user=local:snippets/full.yaml", "OK"},
		} {
			admin.must("200 OK", "PUT", vmPath("270", "/config"), "cicustom="+c[0])
			if exit := admin.task("POST", vmPath("270", "/status/start")); exit != c[1] {
				t.Errorf("%s: %q, want %q", c[0], exit, c[1])
			}
		}
	})
}

func TestCloudInitDriveHoldsProxmoxOwnDataWithoutCicustom(t *testing.T) {
	withSnippets(t, func(t *testing.T, s *Server, dir string, started *[]Machine) {
		fleet := fleetOf(t, s)
		writeFile(t, "instance-id: mine\n", dir, "meta.yaml")
		fleet.vmFor("270")
		fleet.must("200 OK", "PUT", vmPath("270", "/config"), "cicustom=meta=local:snippets/meta.yaml")
		if exit := fleet.task("POST", vmPath("270", "/status/start")); exit != "OK" {
			t.Fatal(exit)
		}
		ci := (*started)[0].CloudInit
		if !strings.Contains(ci.UserData, "hostname: r270\n") || ci.MetaData != "instance-id: mine\n" {
			t.Errorf("%+v", ci)
		}
	})
}

func TestVMWithoutCloudInitDriveReadsNoSnippet(t *testing.T) {
	withSnippets(t, func(t *testing.T, s *Server, dir string, started *[]Machine) {
		admin := adminOf(t, s)
		admin.vmFor("270")
		admin.must("200 OK", "PUT", vmPath("270", "/config"), "cicustom=user=local:snippets/gone.yaml", "delete=ide2")
		if exit := admin.task("POST", vmPath("270", "/status/start")); exit != "OK" || (*started)[0].CloudInit != nil {
			t.Errorf("start: %q, %+v", exit, *started)
		}
	})
}

// Snippets are listed for those with Datastore.Allocate alone (recorded from Proxmox VE 9.2).
func TestSnippetsAreListedAndDeletedByAdministratorsOnly(t *testing.T) {
	withSnippets(t, func(t *testing.T, s *Server, dir string, _ *[]Machine) {
		for _, name := range []string{"b.yaml", "a.yaml", ".hidden"} {
			writeFile(t, "text", dir, name)
		}
		if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
			t.Fatal(err)
		}
		const content = "/nodes/pve1/storage/local/content"
		admin, fleet := adminOf(t, s), fleetOf(t, s)
		var ids []any
		for _, e := range admin.call("GET", content, "content=snippets").list() {
			ids = append(ids, e["volid"])
			if e["size"] != 4.0 || e["format"] != "snippet" {
				t.Errorf("entry %v", e)
			}
		}
		if want := []any{"local:snippets/a.yaml", "local:snippets/b.yaml"}; !slices.Equal(ids, want) {
			t.Errorf("the administrator sees %v, want %v", ids, want)
		}
		if list := fleet.call("GET", content).list(); len(list) != 0 {
			t.Errorf("the fleet's token sees %v", list)
		}
		fleet.must("403 Permission check failed (/storage/local, Datastore.Allocate)", "DELETE", content+"/local:snippets/a.yaml")
		if exit := admin.task("DELETE", content+"/local:snippets/a.yaml"); exit != "OK" {
			t.Error(exit)
		}
		if exit := admin.task("DELETE", content+"/local:snippets/.."); exit != "OK" { // as of any that isn't there
			t.Error(exit)
		}
		left, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, e := range left {
			names[e.Name()] = true
		}
		if want := map[string]bool{"b.yaml": true, ".hidden": true, "folder": true}; !maps.Equal(names, want) {
			t.Errorf("left %v, want %v", names, want)
		}
	})
}

func TestTemplatesMayLackTheAgentOption(t *testing.T) {
	bubble(t, Options{TemplateAgentOff: true}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		fleet.vmFor("270")
		for _, id := range []int{9000, 270} {
			if agent, ok := s.State().vm(id).Config["agent"]; ok {
				t.Errorf("VM %d has agent: %s", id, agent)
			}
		}
		fleet.task("POST", vmPath("270", "/status/start"))
		fleet.must("500 No QEMU guest agent configured", "POST", vmPath("270", "/agent/ping"))
	})
}
