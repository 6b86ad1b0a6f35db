package qemu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
)

// engineOf is an engine whose programs do nothing.
func engineOf(t *testing.T) *Engine {
	t.Helper()
	fakePrograms(t, qemuProgram, "qemu-img")
	dir, err := os.MkdirTemp("", "q") //nolint:usetesting // its names are too long
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(t.Context(), Options{Accel: TCG, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(e.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return e
}

func diskImage(t *testing.T, text string) pve.Image {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return pve.Image{Volid: "local:import/x.qcow2", Format: "qcow2", Size: runner.GiB, Path: path}
}

func TestImportedDiskIsACopyThatDestroyRemoves(t *testing.T) {
	e := engineOf(t)
	if err := e.Import(t.Context(), 112, "scsi0", diskImage(t, "an image")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(e.disk(112)); string(got) != "an image" || err != nil {
		t.Errorf("disk %q, %v", got, err)
	}
	if err := e.Import(t.Context(), 112, "scsi1", diskImage(t, "another")); err == nil || !strings.Contains(err.Error(), "one disk") {
		t.Errorf("second image: %v", err)
	}
	if err := e.Destroy(t.Context(), 112); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(e.disk(112)); !errors.Is(err, os.ErrNotExist) || len(e.Disks()) != 0 {
		t.Errorf("left: %v, %v", err, e.Disks())
	}
}

func TestImportThatEndsEarlyLeavesNoDisk(t *testing.T) {
	e := engineOf(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Import(ctx, 112, "scsi0", diskImage(t, "an image")); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	missing := pve.Image{Format: "qcow2", Path: filepath.Join(t.TempDir(), "nosuch")}
	if err := e.Import(t.Context(), 113, "scsi0", missing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no image: %v", err)
	}
	for _, id := range []int{112, 113} {
		if _, err := os.Stat(e.disk(id)); !errors.Is(err, os.ErrNotExist) || e.has(id) {
			t.Errorf("VM %d has a disk: %v", id, err)
		}
	}
}

func TestQemuImgsComplaintIsTheReason(t *testing.T) {
	e := engineOf(t)
	path := os.Getenv("PATH")
	script := "#!/bin/sh\necho \"qemu-img: no $1 today\" >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(path, "qemu-img"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	raw := diskImage(t, "raw")
	raw.Format = "raw"
	if err := e.Import(t.Context(), 112, "scsi0", raw); err == nil || !strings.Contains(err.Error(), "no convert today") {
		t.Errorf("convert: %v", err)
	}
	if err := e.Resize(t.Context(), 112, "scsi0", runner.GiB); err != nil {
		t.Errorf("resize without a disk: %v", err)
	}
	if err := e.Import(t.Context(), 112, "scsi0", diskImage(t, "x")); err != nil {
		t.Fatal(err)
	}
	if err := e.Resize(t.Context(), 112, "scsi0", runner.GiB); err == nil || !strings.Contains(err.Error(), "resize scsi0 of VM 112: qemu-img") {
		t.Errorf("resize: %v", err)
	}
}
