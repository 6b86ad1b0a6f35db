package pve

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// list is a reply's data when it is a list of objects.
func (a answer) list() []map[string]any {
	var l []map[string]any
	_ = json.Unmarshal(a.Data, &l)
	return l
}

// find is the entry of a list that has the value under the key; nil when there is none.
func find(list []map[string]any, key string, value any) map[string]any {
	for _, e := range list {
		if e[key] == value {
			return e
		}
	}
	return nil
}

// part is one part of a multipart body; file is its file name, "" for a field.
type part struct{ name, file, text string }

// upload posts a multipart body made by hand, so that its order is the test's.
func (c caller) upload(storage string, quoted bool, parts ...part) answer {
	c.t.Helper()
	const boundary = "----test7d1"
	var body strings.Builder
	for _, p := range parts {
		body.WriteString("--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + p.name + "\"")
		if p.file != "" {
			body.WriteString("; filename=\"" + p.file + "\"\r\nContent-Type: application/octet-stream")
		}
		body.WriteString("\r\n\r\n" + p.text + "\r\n")
	}
	body.WriteString("--" + boundary + "--\r\n")
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost,
		"https://pve1:8006/api2/json/nodes/pve1/storage/"+storage+"/upload", strings.NewReader(body.String()))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "multipart/form-data; boundary="+boundary)
	if quoted {
		req.Header.Set("Content-Type", `multipart/form-data; boundary="`+boundary+`"`)
	}
	req.Header.Set("Authorization", "PVEAPIToken="+c.id+"="+c.secret)
	resp, err := c.rt.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	a := answer{status: resp.Status}
	if bytes.HasPrefix(raw, []byte("{")) {
		if err := json.Unmarshal(raw, &a); err != nil {
			c.t.Fatal(err)
		}
		a.status = resp.Status
	}
	return a
}

func TestUploadsAreTakenAndRefusedAsRecorded(t *testing.T) {
	const sum = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" // SHA-256 of "foo"
	file := part{"filename", "seed 1.iso", "foo"}
	for _, tc := range []struct {
		name, storage string
		parts         []part
		quoted        bool
		status        string
		field         string // of a 400
		exit          string // of the task
	}{
		{name: "plain", storage: "local", parts: []part{{"content", "", "iso"}, file}, status: "200 OK", exit: "OK"},
		{name: "checksum", storage: "local", parts: []part{{"content", "", "iso"}, {"checksum-algorithm", "", "sha256"}, {"checksum", "", sum}, file}, status: "200 OK", exit: "OK"},
		{
			name: "wrong checksum", storage: "local", parts: []part{{"content", "", "iso"}, {"checksum-algorithm", "", "sha256"}, {"checksum", "", strings.Repeat("0", 64)}, file},
			status: "200 OK", exit: "checksum mismatch: got '" + sum + "' != expect '" + strings.Repeat("0", 64) + "'",
		},
		{name: "file first", storage: "local", parts: []part{file, {"content", "", "iso"}}, status: "400 Parameter verification failed.", field: "content"},
		{name: "no file", storage: "local", parts: []part{{"content", "", "iso"}}, status: "500 upload failed at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 1370."},
		{name: "unknown field", storage: "local", parts: []part{{"content", "", "iso"}, {"note", "", "x"}, file}, status: "500 upload failed at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 1370."},
		{name: "quoted boundary", storage: "local", parts: []part{{"content", "", "iso"}, file}, quoted: true, status: "500 upload failed at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line 1370."},
		{name: "extension", storage: "local", parts: []part{{"content", "", "iso"}, {"filename", "seed.bin", "x"}}, status: "400 Parameter verification failed.", field: "filename"},
		{name: "snippets", storage: "local", parts: []part{{"content", "", "snippets"}, {"filename", "u.yaml", "x"}}, status: "400 Parameter verification failed.", field: "content"},
		{name: "unknown storage", storage: "nosuch", parts: []part{{"content", "", "iso"}, file}, status: "500 storage 'nosuch' does not exist"},
		{name: "block storage", storage: "local-lvm", parts: []part{{"content", "", "iso"}, file}, status: "500 can't upload to storage type 'lvmthin'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, s *Server) {
				admin := adminOf(t, s)
				a := admin.upload(tc.storage, tc.quoted, tc.parts...)
				if a.status != tc.status {
					t.Fatalf("status %q, want %q", a.status, tc.status)
				}
				if _, told := a.Errors[tc.field]; tc.field != "" && !told {
					t.Errorf("errors %v, want one for %s", a.Errors, tc.field)
				}
				if tc.exit == "" {
					return
				}
				if exit := admin.wait(a.text()); exit != tc.exit {
					t.Errorf("task ended with %q, want %q", exit, tc.exit)
				}
				iso := admin.call(http.MethodGet, "/nodes/pve1/storage/local/content", "content=iso").list()
				if there := find(iso, "volid", "local:iso/seed_1.iso") != nil; there != (tc.exit == "OK") {
					t.Errorf("file is there: %v", there)
				}
			})
		})
	}
}

func TestUploadWithoutPrivilegeIs403WithoutABody(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		a := fleetOf(t, s).upload("local", false, part{"content", "", "iso"}, part{"filename", "a.iso", "x"})
		if a.status != "403 Permission check failed (/storage/local, Datastore.AllocateTemplate)" || a.Message != "" {
			t.Errorf("%q, message %q", a.status, a.Message)
		}
	})
}

func TestDeletingAFileTakesTheRightToAllocateAndNeverFailsForWantOfIt(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		const netinst = "/nodes/pve1/storage/local/content/local:iso/debian-12.12.0-amd64-netinst.iso"
		admin := adminOf(t, s)
		if a := fleetOf(t, s).call(http.MethodDelete, netinst); a.status != "403 Permission check failed (/storage/local, Datastore.Allocate)" {
			t.Errorf("fleet token: %s", a.status)
		}
		if got := admin.must("200 OK", http.MethodGet, netinst).object(); got["path"] != "/var/lib/vz/template/iso/debian-12.12.0-amd64-netinst.iso" || got["format"] != "raw" {
			t.Errorf("volume %v", got)
		}
		for _, path := range []string{netinst, netinst, "/nodes/pve1/storage/local/content/iso/nosuch.iso"} {
			if exit := admin.task(http.MethodDelete, path); exit != "OK" {
				t.Errorf("%s: %s", path, exit)
			}
		}
		if left := admin.call(http.MethodGet, "/nodes/pve1/storage/local/content", "content=iso").list(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
		if a := admin.must("200 OK", http.MethodDelete, netinst, "delay=5"); string(a.Data) != "null" {
			t.Errorf("with delay: %s, want null", a.Data)
		}
	})
}

func TestDrivesAreMadeFoundAndRefused(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		admin.vmFor("150")
		put := func(want string, params ...string) answer {
			t.Helper()
			return admin.must(want, http.MethodPut, vmPath("150", "/config"), params...)
		}
		put("200 OK", "ide2=local:iso/debian-12.12.0-amd64-netinst.iso,media=cdrom")
		put("400 Parameter verification failed.", "ide2=local:iso/debian-12.12.0-amd64-netinst.iso")
		put("500 volume 'local:iso/nosuch.iso' does not exist", "ide2=local:iso/nosuch.iso,media=cdrom")
		put("500 storage 'nosuch' does not exist", "scsi1=nosuch:4")
		put("200 OK", "scsi1=local-lvm:4")
		put("400 Parameter verification failed.", "scsi2=local:4")
		put("200 OK", "ide0=local-lvm:cloudinit")
		put("500 ide1 - cloud-init drive is already attached at 'ide0'", "ide1=local-lvm:cloudinit")
		put("200 OK", "ide2=none,media=cdrom")
		conf := admin.must("200 OK", http.MethodGet, vmPath("150", "/config")).object()
		for opt, want := range map[string]string{
			"ide0": "local-lvm:vm-150-cloudinit,media=cdrom", "ide2": "none,media=cdrom", "scsi1": "local-lvm:vm-150-disk-1,size=4G",
		} {
			if conf[opt] != want {
				t.Errorf("%s is %q, want %q", opt, conf[opt], want)
			}
		}
		if exit := admin.task(http.MethodDelete, vmPath("150")); exit != "OK" {
			t.Error(exit)
		}
		if left := admin.call(http.MethodGet, "/nodes/pve1/storage/local-lvm/content", "vmid=150").list(); len(left) != 0 {
			t.Errorf("disks left: %v", left)
		}
	})
}

// On directories a linked clone's volume names its base; LVM-thin remembers nothing, and removes it.
func TestLinkedCloneKeepsItsBaseFromBeingRemovedButOnLVMThin(t *testing.T) {
	opts := Options{Storages: []Storage{{ID: "dir", Type: "dir", Content: []string{"images"}}}}
	bubble(t, opts, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		do := func(want, method, path string, params ...string) {
			t.Helper()
			if exit := admin.task(method, path, params...); exit != want {
				t.Errorf("%s %s: %s, want %s", method, path, exit, want)
			}
		}
		do("OK", http.MethodPost, "/nodes/pve1/qemu", "vmid=140", "scsi0=dir:1")
		do("OK", http.MethodPost, vmPath("140", "/template"))
		do("OK", http.MethodPost, vmPath("140", "/clone"), "newid=150")
		disk := find(admin.call(http.MethodGet, "/nodes/pve1/storage/dir/content").list(), "vmid", 150.0)
		if disk == nil || disk["parent"] != "140/base-140-disk-0.qcow2" {
			t.Errorf("clone's disk %v", disk)
		}
		do("base volume 'dir:140/base-140-disk-0.qcow2' is still in use by linked cloned", http.MethodDelete, vmPath("140"))
		do("OK", http.MethodDelete, vmPath("150"))
		do("OK", http.MethodDelete, vmPath("140"))

		do("OK", http.MethodPost, vmPath("9000", "/clone"), "newid=151")
		do("OK", http.MethodDelete, vmPath("9000"))
		do("OK", http.MethodPost, vmPath("151", "/status/start"))
	})
}

func TestStoragesAreShownToThoseWhoMayLook(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet, admin := fleetOf(t, s), adminOf(t, s)
		if got := fleet.must("200 OK", http.MethodGet, "/nodes/pve1/storage").list(); len(got) != 1 || got[0]["storage"] != "local-lvm" {
			t.Errorf("fleet token sees %v", got)
		}
		if got := admin.must("200 OK", http.MethodGet, "/nodes/pve1/storage", "content=iso").list(); len(got) != 1 || got[0]["storage"] != "local" {
			t.Errorf("for ISO images: %v", got)
		}
		before := admin.must("200 OK", http.MethodGet, "/nodes/pve1/storage/local/status").object()
		if before["total"].(float64) != before["used"].(float64)+before["avail"].(float64) {
			t.Errorf("status %v", before)
		}
		admin.must("400 Parameter verification failed.", http.MethodGet, "/nodes/pve1/storage/nosuch/status")
		fleet.must("403 Permission check failed (/storage/local, Datastore.Audit|Datastore.AllocateSpace)", http.MethodGet, "/nodes/pve1/storage/local/status")
	})
}
