package handoff_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
)

func TestAFolderThatServesPassesAndIsLeftAsItWas(t *testing.T) {
	s, dir := newSnippet(t)
	put(t, dir, "ubuntu.yaml", 0)
	for _, mode := range []os.FileMode{0o755, 0o700, 0o770, 0o777 | os.ModeSticky} {
		must(t, os.Chmod(dir, mode))
		if err := s.Check(); err != nil {
			t.Errorf("%v: %v", mode, err)
		}
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

func TestAFolderThatCantServeIsRefusedAtStartUp(t *testing.T) {
	base := t.TempDir()
	put(t, base, "file", 0)
	mkdir(t, filepath.Join(base, "open"))
	must(t, os.Chmod(filepath.Join(base, "open"), 0o777))
	mkdir(t, filepath.Join(base, "root"))
	mkdir(t, filepath.Join(base, "root", "snippets"))
	must(t, os.Symlink("nowhere", filepath.Join(base, "dangling")))
	for dir, want := range map[string]string{
		filepath.Join(base, "none"):     "no such file or directory; mount the snippets folder there",
		filepath.Join(base, "file"):     "not a folder",
		filepath.Join(base, "open"):     "mode 0777: every user here can put user-data in",
		filepath.Join(base, "root"):     "so it is the storage's root; set SNIPPETS_DIR (snippets_dir) to " + filepath.Join(base, "root", "snippets"),
		filepath.Join(base, "dangling"): "no such file or directory",
		"/proc/self":                    "not writable", // to root too
	} {
		err := snippetIn(t, dir, "lab").Check()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "check SNIPPETS_DIR "+dir+": ") {
			t.Errorf("%s: %v, want …%s…", dir, err, want)
		}
	}
}

// TestNoSecretIsWrittenWhereModesDontHold uses a file of /proc, whose mode is 0644 whatever one asks for, as on a mount
// that gives all files one mode.
func TestNoSecretIsWrittenWhereModesDontHold(t *testing.T) {
	const path = "/proc/self/comm"
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	err = handoff.FillFile(f, "secret")
	if err == nil || !strings.Contains(err.Error(), "a file made with mode 0600 gets 0644, so others could read identities") {
		t.Error(err)
	}
	if name, err := os.ReadFile(path); err != nil || strings.Contains(string(name), "secret") {
		t.Errorf("written: %s, %v", name, err)
	}
}

func TestStorageThatHoldsNoSnippetsIsRefused(t *testing.T) {
	s, _ := newSnippet(t)
	good := proxmox.Storage{Name: "local", Content: []string{"iso", "snippets"}, Enabled: true, Active: true}
	if err := s.CheckStorage(good); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(st *proxmox.Storage){
		"pvesm set local --content iso,vztmpl,snippets": func(st *proxmox.Storage) { st.Content = []string{"iso", "vztmpl"} },
		"holds nothing":               func(st *proxmox.Storage) { st.Content = nil },
		"pvesm set local --disable 0": func(st *proxmox.Storage) { st.Enabled = false },
		"not active":                  func(st *proxmox.Storage) { st.Active = false },
		"storage other: want local":   func(st *proxmox.Storage) { st.Name = "other" },
	} {
		st := good
		change(&st)
		if err := s.CheckStorage(st); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want …%s…", st, err, want)
		}
	}
}

func TestVMNeedsACloudInitDriveThatProxmoxKnows(t *testing.T) {
	s, _ := newSnippet(t)
	for _, drive := range []string{
		"ide2=local-lvm:vm-9000-cloudinit,media=cdrom,size=4M", "scsi1=local:9000/vm-9000-cloudinit.qcow2,media=cdrom",
		"sata0=ceph:vm-1-cloudinit", "ide0=local:cloudinit",
	} {
		key, value, _ := strings.Cut(drive, "=")
		if err := s.CheckVM(map[string]string{"name": "x", key: value}); err != nil {
			t.Errorf("%s: %v", drive, err)
		}
	}
	for _, drive := range []string{
		"ide2=none,media=cdrom", "ide2=local:iso/cloudinit.iso,media=cdrom", "unused0=local:vm-9000-cloudinit", "description=a:cloudinit",
		"scsi0=local:vm-9000-disk-0,size=1G", "scsihw=virtio-scsi-pci", "ide2=local:vm-x-cloudinit", "name=cloudinit",
	} {
		key, value, _ := strings.Cut(drive, "=")
		err := s.CheckVM(map[string]string{key: value})
		if !errors.Is(err, handoff.ErrImage) {
			t.Errorf("%s: %v", drive, err)
		}
	}
}
