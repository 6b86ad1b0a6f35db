package pve

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"mayfly/internal/runner"
)

// makers is a blank engine that is told of disks.
type makers struct {
	Engine
	mu     sync.Mutex
	images map[int]Image
	bytes  int64
	sizes  map[string]runner.Bytes
	gone   []int
	fail   error
}

func (e *makers) Import(_ context.Context, vmid int, drive string, image Image) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail != nil {
		return e.fail
	}
	info, err := os.Stat(image.Path)
	if err != nil {
		return err
	}
	e.bytes, e.images[vmid] = info.Size(), image
	e.sizes[drive] = image.Size
	return nil
}

func (e *makers) Resize(_ context.Context, _ int, drive string, size runner.Bytes) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sizes[drive] = size
	return nil
}

func (e *makers) Destroy(ctx context.Context, vmid int) error {
	e.mu.Lock()
	e.gone = append(e.gone, vmid)
	e.mu.Unlock()
	return e.Engine.Destroy(ctx, vmid)
}

// From the capture create-import-from and its task.
func TestVMIsMadeOfAnImageResizedAndMadeATemplateOfClones(t *testing.T) {
	image := qcow2(16*runner.MiB, 196616)
	engine := &makers{Engine: newBlankEngine(), images: map[int]Image{}, sizes: map[string]runner.Bytes{}}
	opts := Options{Engine: engine, Web: web{"http://images.example/disk.qcow2": serves(image)}, Dir: t.TempDir()}
	bubble(t, opts, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		if exit := admin.task("POST", downloadPath, "content=import", "filename=disk.qcow2", "url=http://images.example/disk.qcow2"); exit != "OK" {
			t.Fatal(exit)
		}
		upid := admin.must("200 OK", "POST", "/nodes/pve1/qemu", "vmid=112", "name=imp", "memory=64", "ide2=local:iso/debian-12.12.0-amd64-netinst.iso,media=cdrom",
			"scsi0=local-lvm:0,import-from=local:import/disk.qcow2,discard=on", "boot=order=scsi0", "pool=ci").text()
		if exit := admin.wait(upid); exit != "OK" {
			t.Fatal(exit)
		}
		log := strings.Join(admin.log(upid), "\n")
		for _, want := range []string{
			"create full clone of drive (local:import/disk.qcow2)", "allocated target volume 'local-lvm:vm-112-disk-0'",
			"(100.00%)", "scsi0: successfully created disk 'local-lvm:vm-112-disk-0,discard=on,size=16M'",
		} {
			if !strings.Contains(log, want) {
				t.Errorf("no %q in\n%s", want, log)
			}
		}
		if disk := admin.call("GET", vmPath("112", "/config")).object()["scsi0"]; disk != "local-lvm:vm-112-disk-0,discard=on,size=16M" {
			t.Errorf("disk %v", disk)
		}
		if got := engine.images[112]; engine.bytes != int64(len(image)) || got.Format != "qcow2" || got.Size != 16*runner.MiB || got.Volid != "local:import/disk.qcow2" {
			t.Errorf("engine was given %d bytes of %+v", engine.bytes, got)
		}
		if exit := admin.task("PUT", vmPath("112", "/resize"), "disk=scsi0", "size=8G"); exit != "OK" || engine.sizes["scsi0"] != 8*runner.GiB {
			t.Errorf("resize: %s, engine %v", exit, engine.sizes)
		}
		if exit := admin.task("POST", vmPath("112", "/template")); exit != "OK" {
			t.Fatal(exit)
		}
		admin.must("200 OK", "PUT", vmPath("112", "/config"), "tags=mayfly-image", "description=an image")
		if exit := admin.task("POST", vmPath("112", "/clone"), "newid=150"); exit != "OK" {
			t.Fatal(exit)
		}
		if disk := admin.call("GET", vmPath("150", "/config")).object()["scsi0"]; disk != "local-lvm:vm-150-disk-0,discard=on,size=8G" {
			t.Errorf("clone's disk %v", disk)
		}
	})
}

func TestImportThatFailsLeavesNothing(t *testing.T) {
	image := qcow2(runner.GiB, 4096)
	engine := &makers{Engine: newBlankEngine(), images: map[int]Image{}, sizes: map[string]runner.Bytes{}, fail: errors.New("qemu-img: no space left on device")}
	bubble(t, Options{Engine: engine, Web: web{"http://images.example/x": serves(image)}, Dir: t.TempDir()}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		admin.task("POST", downloadPath, "content=import", "filename=x.qcow2", "url=http://images.example/x")
		for source, want := range map[string]string{
			"local:import/x.qcow2":      "unable to create VM 112 - cannot import from 'local:import/x.qcow2' - qemu-img: no space left on device",
			"local:import/nosuch.qcow2": "unable to create VM 112 - failed to stat '/var/lib/vz/import/nosuch.qcow2'",
		} {
			if exit := admin.task("POST", "/nodes/pve1/qemu", "vmid=112", "scsi0=local-lvm:0,import-from="+source); exit != want {
				t.Errorf("%s: %q, want %q", source, exit, want)
			}
		}
		if left := admin.call("GET", "/nodes/pve1/storage/local-lvm/content", "vmid=112").list(); len(left) != 0 {
			t.Errorf("disks left: %v", left)
		}
		admin.must("500 Configuration file 'nodes/pve1/qemu-server/112.conf' does not exist", "GET", vmPath("112", "/config"))
		if len(engine.gone) != 2 {
			t.Errorf("engine's disks were removed of %v", engine.gone)
		}
	})
}

func TestImportIsRefusedAtOnce(t *testing.T) {
	opts := Options{
		Roles:  []Role{{"Make", []string{"VM.Allocate"}}, {"Space", []string{"Datastore.AllocateSpace"}}},
		Tokens: []Token{{ID: "a@pve!b", Secret: "s", Roles: map[string]string{"/vms": "Make", "/storage/local-lvm": "Space"}}},
	}
	bubble(t, opts, func(t *testing.T, s *Server) {
		admin, poor := adminOf(t, s), caller{t, s.RoundTripper(), "a@pve!b", "s"}
		for _, c := range []struct {
			disk, want, field string
		}{
			{"local-lvm:8,import-from=local:import/x.qcow2", "400 Parameter verification failed.", "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>"},
			{"local:0,import-from=local:import/x.qcow2", "400 Parameter verification failed.", ""},
			{"local-lvm:0,import-from=local:iso/x.iso", "400 Parameter verification failed.", "local:iso/x.iso has wrong type 'iso' - needs to be 'images' or 'import'"},
			{"local-lvm:0,import-from=local:import/x.ova", "400 Parameter verification failed.", "import working storage 'local' does not support 'images' content type or is not file based."},
			{"local-lvm:0,import-from=/tmp/x.qcow2", "500 Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.", ""},
			{"local-lvm:0,import-from=nosuch:import/x.qcow2", "500 storage 'nosuch' does not exist", ""},
		} {
			a := admin.must(c.want, "POST", "/nodes/pve1/qemu", "vmid=112", "scsi0="+c.disk)
			if c.field != "" && a.Errors["scsi0"] != c.field {
				t.Errorf("%s: %v", c.disk, a.Errors)
			}
		}
		poor.must("403 Permission check failed (/storage/local, Datastore.AllocateSpace|Datastore.Audit)", "POST", "/nodes/pve1/qemu", "vmid=112",
			"scsi0=local-lvm:0,import-from=local:import/x.qcow2")
	})
}

func TestUploadedImagesOfVMsAreLookedInto(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		admin := adminOf(t, s)
		up := func(name, body string) string {
			t.Helper()
			return admin.wait(admin.upload("local", false, part{"content", "", "import"}, part{"filename", name, body}).text())
		}
		if exit := up("x.qcow2", string(qcow2(runner.GiB, 512))); exit != "OK" {
			t.Error(exit)
		}
		if exit := up("y.qcow2", "no image"); exit != "failed to query file information with qemu-img" {
			t.Error(exit)
		}
		if a := admin.upload("local", false, part{"content", "", "import"}, part{"filename", "x.img", "x"}); a.Errors["filename"] != "invalid filename or wrong extension" {
			t.Errorf("x.img: %v", a.Errors)
		}
	})
}
