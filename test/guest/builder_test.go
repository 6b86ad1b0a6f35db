package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mayfly/internal/sim/pve/qemu"
)

func testBuilder(t *testing.T) *builder {
	t.Helper()
	b := &builder{cache: t.TempDir(), runOnce: []byte("script"), listener: []byte("program")}
	b.work = filepath.Join(b.cache, ".work-1")
	if err := os.Mkdir(b.work, 0o755); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhateverGoesInMakesAnotherImage(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range []builder{
		{runOnce: []byte("ab"), listener: []byte("c")},
		{runOnce: []byte("a"), listener: []byte("bc")},
		{runOnce: []byte("ab"), listener: []byte("d")},
		{runOnce: []byte("xb"), listener: []byte("c")},
		{runOnce: []byte("xb"), hook: []byte("h"), listener: []byte("c")},
	} {
		hash, err := b.hashInputs()
		if err != nil || seen[hash] {
			t.Errorf("hash %q, %v: as one before", hash, err)
		}
		seen[hash] = true
		if again, err := b.hashInputs(); err != nil || again != hash {
			t.Errorf("the same again: %q, %v, want %q", again, err, hash)
		}
	}
}

func TestOnlyWhatNobodyUsesIsPruned(t *testing.T) {
	b := testBuilder(t)
	old := time.Now().Add(-keep - time.Hour)
	for name, age := range map[string]time.Time{
		"tiny-old": old, "tiny-new": time.Now(), "base-old.tar": old, "base-new.tar": time.Now(), ".work-old": old,
		"systemd-old": old, "mine": old,
	} {
		path := filepath.Join(b.cache, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, age, age); err != nil {
			t.Fatal(err)
		}
	}
	b.prune("tiny")
	var left []string
	entries, err := os.ReadDir(b.cache)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{".work-1", "base-new.tar", "mine", "systemd-old", "tiny-new"}; !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
}

func TestTheNameLeadsToTheImageBuiltLast(t *testing.T) {
	b := testBuilder(t)
	for _, hash := range []string{"one", "two"} {
		dir := filepath.Join(b.cache, "tiny-"+hash)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := (qemu.Image{Dir: dir, Name: hash, Disk: "d", Kernel: "k", Busybox: "b", MemoryMiB: 1, TBMiB: 1}).Save(); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"d", "k", "b"} {
			if err := os.WriteFile(filepath.Join(dir, file), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.point("tiny", dir); err != nil {
			t.Fatal(err)
		}
		if im, err := qemu.LoadImage(filepath.Join(b.cache, "tiny")); err != nil || im.Name != hash {
			t.Errorf("%+v, %v, want %q", im, err, hash)
		}
	}
}

func TestModulesComeAfterWhatTheyNeed(t *testing.T) {
	root := rootfs(t.TempDir())
	dir := root.path("usr/lib/modules/6.1")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	dep := "k/virtio.ko:\nk/ring.ko: k/virtio.ko\nk/pci.ko: k/ring.ko k/virtio.ko\nk/net.ko: k/failover.ko k/ring.ko k/virtio.ko\nk/failover.ko:\n"
	if err := os.WriteFile(filepath.Join(dir, "modules.dep"), []byte(dep), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := root.modules("6.1", "pci", "net")
	var want []string
	for _, name := range []string{"virtio", "ring", "pci", "failover", "net"} {
		want = append(want, "usr/lib/modules/6.1/k/"+name+".ko")
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if _, err := root.modules("6.1", "nosuch"); err == nil {
		t.Error("a module that isn't there was found")
	}
}
