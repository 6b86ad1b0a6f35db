//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/pve/qemu"
)

// imported is a stand-in of Proxmox VE with real machines, and a client of the administrator's.
type imported struct {
	t       *testing.T
	ctx     context.Context
	client  *proxmox.Client
	machine *qemu.Engine
	dir     string
}

func newImported(t *testing.T, im qemu.Image) *imported {
	t.Helper()
	c := &imported{t: t, dir: shortDir(t)}
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	var err error
	c.machine, err = qemu.New(t.Context(), qemu.Options{Image: im, Accel: accel(), Dir: c.dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.machine.Close(); err != nil {
			t.Error(err)
		}
		wantNoQEMU(t, c.dir)
		if left, err := os.ReadDir(c.dir); err != nil || len(left) != 0 {
			t.Errorf("files left: %v, %v", left, err)
		}
	})
	s := pve.New(pve.Options{Seed: 7, Engine: c.machine, Dir: c.dir})
	t.Cleanup(s.Close)
	url, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	info := s.Info()
	c.client, err = proxmox.New(proxmox.Options{
		Endpoints: []string{url}, TokenID: info.AdminTokenID, TokenSecret: runner.NewSecret(info.AdminTokenSecret), Fingerprint: info.Fingerprint,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	return c
}

// done waits for a task that has to end well.
func (c *imported) done(upid proxmox.UPID, err error) {
	c.t.Helper()
	if err == nil {
		err = c.client.WaitTask(c.ctx, upid)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// until waits for something of a VM.
func (c *imported) until(vmid int, what string, is func() bool) {
	c.t.Helper()
	for !is() {
		select {
		case <-c.ctx.Done():
			c.t.Fatalf("VM %d: %s never came; console:\n%s", vmid, what, c.machine.Console(vmid))
		case <-time.After(time.Second):
		}
	}
}

// run runs a command in a VM by Proxmox's API.
func (c *imported) run(vmid int, command string) string {
	c.t.Helper()
	pid, err := c.client.AgentExec(c.ctx, "pve1", vmid, []string{"/bin/sh", "-c", command}, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	var st proxmox.ExecStatus
	c.until(vmid, command, func() bool {
		if st, err = c.client.AgentExecStatus(c.ctx, "pve1", vmid, pid); err != nil {
			c.t.Fatal(err)
		}
		return st.Exited
	})
	if st.ExitCode != 0 {
		c.t.Errorf("%s: exit code %d, %s%s", command, st.ExitCode, st.Out, st.Err)
	}
	return st.Out
}

// seedScript is what the image's own cloud-init runs in the VM that becomes a template.
const seedScript = `#cloud-config
runcmd:
  - [ sh, -c, 'mkdir /mnt/seed && mount -o ro /dev/sr0 /mnt/seed && cp /mnt/seed/scripts/word /etc/built && umount /mnt/seed' ]
  - [ sh, -c, 'cat /sys/block/vda/size >>/etc/built; rm -rf /var/lib/cloud; sync; systemctl --no-block poweroff' ]
`

// TestImageIsMadeByTheAPIAlone takes the way of a build, with the client's plain calls: the node downloads a cloud image, a
// VM made of it runs cloud-init from a seed, powers off and becomes a template, and a linked clone of that boots.
func TestImageIsMadeByTheAPIAlone(t *testing.T) {
	t.Parallel()
	im := image(t, "cloudinit")
	disk := filepath.Join(im.Dir, im.Disk)
	web := httptest.NewServer(http.FileServer(http.Dir(im.Dir)))
	defer web.Close()
	c := newImported(t, im)

	download := proxmox.Download{
		Storage: "local", Content: "import", Name: "cloud.qcow2", URL: web.URL + "/" + im.Disk, Checksum: strings.Repeat("0", 64), Algorithm: "sha256",
	}
	upid, err := c.client.DownloadURL(c.ctx, "pve1", download)
	if err == nil {
		err = c.client.WaitTask(c.ctx, upid)
	}
	if err == nil || !strings.Contains(err.Error(), "checksum mismatch") {
		t.Errorf("download with a wrong checksum: %v", err)
	}
	download.Checksum = sha256File(t, disk)
	upid, err = c.client.DownloadURL(c.ctx, "pve1", download)
	c.done(upid, err)
	lines, err := c.client.TaskLog(c.ctx, upid, 0, 500)
	if percent, ok := proxmox.Progress(lines); err != nil || !ok || percent != 100 {
		t.Errorf("progress %d, %v, %v in %q", percent, ok, err, lines)
	}

	seed, err := cloudinit.Seed{
		MetaData: "instance-id: build-1\nlocal-hostname: build\n", UserData: seedScript, Files: map[string][]byte{"scripts/word": []byte("by a seed\n")},
	}.ISO()
	if err != nil {
		t.Fatal(err)
	}
	c.done(c.client.Upload(c.ctx, "pve1", proxmox.Upload{
		Storage: "local", Content: "iso", Name: "seed.iso", Body: strings.NewReader(string(seed)), Size: int64(len(seed)),
	}))
	c.done(c.client.CreateVM(c.ctx, "pve1", proxmox.NewVM{VMID: 8000, Pool: "ci", Options: map[string]string{
		"name": "build", "memory": "1024", "cores": "2", "cpu": "host", "ostype": "l26", "scsihw": "virtio-scsi-single", "agent": "enabled=1",
		"scsi0": "local-lvm:0,import-from=local:import/cloud.qcow2,discard=on", "boot": "order=scsi0", "serial0": "socket", "vga": "serial0",
		"ide2": "local:iso/seed.iso,media=cdrom", "net0": "virtio,bridge=vmbr0,firewall=1",
	}}))
	c.done(c.client.Resize(c.ctx, "pve1", 8000, "scsi0", 3*runner.GiB))

	began := time.Now()
	c.done(c.client.Start(c.ctx, "pve1", 8000))
	c.until(8000, "its power-off", func() bool {
		st, err := c.client.VMStatus(c.ctx, "pve1", 8000)
		if err != nil {
			t.Fatal(err)
		}
		return st.Status == "stopped"
	})
	t.Logf("the build's VM powered off %s after its start", time.Since(began).Round(time.Second))
	if err := c.client.SetConfig(c.ctx, "pve1", 8000, nil, []string{"ide2"}, ""); err != nil {
		t.Fatal(err)
	}
	c.done(c.client.DeleteVolume(c.ctx, "pve1", "local:iso/seed.iso"))
	c.done(c.client.MakeTemplate(c.ctx, "pve1", 8000))
	if err := c.client.SetConfig(c.ctx, "pve1", 8000, map[string]string{"tags": "mayfly-image", "description": "built"}, nil, ""); err != nil {
		t.Fatal(err)
	}

	c.done(c.client.Clone(c.ctx, "pve1", 8000, proxmox.CloneOptions{NewID: 8001, Name: "check", Pool: "ci"}))
	if base := c.backing(8001); base != filepath.Base(c.diskOf(8000)) {
		t.Errorf("the clone's disk is an overlay of %q", base)
	}
	c.done(c.client.Start(c.ctx, "pve1", 8001))
	c.until(8001, "its agent", func() bool { return c.client.AgentPing(c.ctx, "pve1", 8001) == nil })
	if got, want := c.run(8001, "cat /etc/built"), "by a seed\n6291456\n"; got != want { // 3 GiB in sectors
		t.Errorf("the clone holds %q, want %q", got, want)
	}
	c.done(c.client.Delete(c.ctx, "pve1", 8000)) // on LVM-thin its clones live on
	c.run(8001, "sync; echo 3 >/proc/sys/vm/drop_caches; find /usr/bin -type f -exec cat {} + >/dev/null")
	c.done(c.client.Stop(c.ctx, "pve1", 8001))
	c.done(c.client.Delete(c.ctx, "pve1", 8001))
	c.done(c.client.DeleteVolume(c.ctx, "pve1", "local:import/cloud.qcow2"))
	if left := c.machine.Disks(); len(left) != 0 {
		t.Errorf("disks left: %v", left)
	}
	for _, storage := range []string{"local", "local-lvm"} {
		list, err := c.client.Volumes(c.ctx, "pve1", storage, "")
		if err != nil || slices.ContainsFunc(list, func(v proxmox.Volume) bool { return v.VMID >= 8000 && v.VMID <= 8001 || v.Content == "import" }) {
			t.Errorf("left on %s: %v, %v", storage, list, err)
		}
	}
}

// diskOf is the file of a VM's disk, which only the engine knows.
func (c *imported) diskOf(vmid int) string {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(c.dir, "mayfly-qemu-*", strconv.Itoa(vmid)+".qcow2"))
	if err != nil || len(files) != 1 {
		c.t.Fatalf("disk of VM %d: %v, %v", vmid, files, err)
	}
	return files[0]
}

// backing is the name of the file that a VM's disk is an overlay of.
func (c *imported) backing(vmid int) string {
	c.t.Helper()
	out, err := exec.CommandContext(c.ctx, "qemu-img", "info", "-U", "--output=json", c.diskOf(vmid)).Output()
	if err != nil {
		c.t.Fatal(err)
	}
	var info struct {
		Backing string `json:"full-backing-filename"`
	}
	if err := json.Unmarshal(out, &info); err != nil {
		c.t.Fatal(err)
	}
	return filepath.Base(info.Backing)
}

func sha256File(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}
