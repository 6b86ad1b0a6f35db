package qemu

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakePrograms makes programs of these names that do nothing, and nothing else can be found.
func fakePrograms(t *testing.T, names ...string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

func TestEngineSaysWhatIsMissing(t *testing.T) {
	fakePrograms(t, qemuProgram)
	if _, err := New(t.Context(), Options{Accel: TCG, Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "sh test/guest/packages.sh") {
		t.Errorf("without qemu-img: %v", err)
	}
}

func TestEngineRefusesAFolderThatSocketsDontFitIn(t *testing.T) {
	fakePrograms(t, qemuProgram, "qemu-img")
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", maxDir))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := New(t.Context(), Options{Accel: TCG, Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "set TMPDIR") {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAClosedEngineLeavesNoFolder(t *testing.T) {
	fakePrograms(t, qemuProgram, "qemu-img")
	dir, err := os.MkdirTemp("", "q") //nolint:usetesting // its names are too long
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	e, err := New(t.Context(), Options{Accel: TCG, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 || len(e.Running()) != 0 || len(e.Disks()) != 0 {
		t.Errorf("left behind: %v, %v, %v", left, e.Running(), e.Disks())
	}
}
