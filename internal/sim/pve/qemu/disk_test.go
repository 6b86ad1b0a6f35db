package qemu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
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
	wantFiles(t, e)
}

// wantFiles wants these files in the engine's folder, and no others.
func wantFiles(t *testing.T, e *Engine, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(e.dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

func TestDiskOfADestroyedTemplateStaysForItsClones(t *testing.T) {
	e := engineOf(t)
	// Overlays are made by qemu-img, whose last argument is the file.
	script := "#!/bin/sh\nfor last; do :; done\n: >\"$last\"\n"
	if err := os.WriteFile(filepath.Join(os.Getenv("PATH"), "qemu-img"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	quiet := func(string) {}
	do(e.Import(t.Context(), 112, "scsi0", diskImage(t, "first")))
	do(e.Clone(t.Context(), 112, 150, false, quiet))
	do(e.Clone(t.Context(), 112, 151, true, quiet))
	do(e.Destroy(t.Context(), 112))
	wantFiles(t, e, "112.qcow2", "150.qcow2", "151.qcow2")
	do(e.Import(t.Context(), 112, "scsi0", diskImage(t, "second")))
	wantFiles(t, e, "112.1.qcow2", "112.qcow2", "150.qcow2", "151.qcow2")
	if got := e.Disks(); !slices.Equal(got, []int{112, 150, 151}) {
		t.Errorf("disks of %v", got)
	}
	do(e.Destroy(t.Context(), 150))
	wantFiles(t, e, "112.1.qcow2", "151.qcow2")
	do(e.Destroy(t.Context(), 151))
	do(e.Destroy(t.Context(), 112))
	wantFiles(t, e)
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
	wantFiles(t, e)
	if got := e.Disks(); len(got) != 0 {
		t.Errorf("disks of %v", got)
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
