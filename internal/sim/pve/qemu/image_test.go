package qemu

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mayfly/internal/sim/pve"
	"pgregory.net/rapid"
)

// goodImage is a whole image in a folder, of empty files.
func goodImage(t *testing.T, dir string) Image {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	im := Image{
		Dir: dir, Name: "tiny", Disk: "disk.qcow2", Kernel: "vmlinuz", Initrd: "initrd", Append: "quiet", Busybox: "busybox",
		MemoryMiB: 192, TBMiB: 64,
	}
	for _, file := range []string{im.Disk, im.Kernel, im.Initrd, im.Busybox} {
		if err := os.WriteFile(filepath.Join(dir, file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := im.Save(); err != nil {
		t.Fatal(err)
	}
	return im
}

func TestAnImageIsReadAsItWasSaved(t *testing.T) {
	want := goodImage(t, t.TempDir())
	if got, err := LoadImage(want.Dir); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestAnImageThatIsNotWholeIsRefused(t *testing.T) {
	for what, spoil := range map[string]func(dir string) error{
		"no disk":       func(dir string) error { return os.Remove(filepath.Join(dir, "disk.qcow2")) },
		"no initrd":     func(dir string) error { return os.Remove(filepath.Join(dir, "initrd")) },
		"no JSON":       func(dir string) error { return os.WriteFile(filepath.Join(dir, imageFile), []byte("{"), 0o644) },
		"incomplete":    func(dir string) error { return os.WriteFile(filepath.Join(dir, imageFile), []byte("{}"), 0o644) },
		"nothing":       os.RemoveAll,
		"no image.json": func(dir string) error { return os.Remove(filepath.Join(dir, imageFile)) },
	} {
		im := goodImage(t, t.TempDir())
		if err := spoil(im.Dir); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadImage(im.Dir); err == nil {
			t.Errorf("%s: loaded", what)
		}
	}
}

func TestImagesAreFoundInTheCache(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if _, err := FindImage("tiny"); err == nil || !strings.Contains(err.Error(), "go run ./test/guest tiny") {
		t.Errorf("an empty cache: %v, want what to do", err)
	}
	cache, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	goodImage(t, filepath.Join(cache, "tiny"))
	if im, err := FindImage("tiny"); err != nil || im.Name != "tiny" {
		t.Errorf("%+v, %v", im, err)
	}
}

// arguments are those of a machine of this image.
func argumentsOf(im Image, accel string, pm pve.Machine) []string {
	e := &Engine{dir: "/d,ir", opts: Options{Image: im, Accel: accel}, disks: map[int]*disk{}}
	e.keep(pm.VMID, e.newDisk(pm.VMID))
	m := newMachine(e, pm)
	return m.arguments()
}

func TestArgumentsFollowTheImageAndTheVM(t *testing.T) {
	direct := Image{Dir: "/im", Kernel: "vmlinuz", Initrd: "initrd", Append: "quiet", MemoryMiB: 192, TBMiB: 64}
	disk := Image{Dir: "/im", Kernel: "vmlinuz", MemoryMiB: 512, TBMiB: 256}
	cases := []struct {
		name      string
		args      []string
		has, lack []string
	}{
		{
			"a kernel of its own", argumentsOf(direct, TCG, pve.Machine{VMID: 201}),
			[]string{"-kernel", "/im/vmlinuz", "-initrd", "/im/initrd", "-append", "quiet", "192", "tcg,thread=multi,tb-size=64"},
			[]string{"-no-reboot", "host"},
		},
		{
			"its own disk", argumentsOf(disk, KVM, pve.Machine{VMID: 201, MAC: "BC:24:11:00:00:01", Config: map[string]string{"reboot": "0"}}),
			[]string{"512", "kvm", "host", "-no-reboot", "virtio-net-pci,netdev=net0,romfile=,mac=BC:24:11:00:00:01", "user,id=net0,restrict=on"},
			[]string{"-kernel", "-append"},
		},
		{
			"a comma in a path", argumentsOf(disk, TCG, pve.Machine{VMID: 201}),
			[]string{"if=none,id=disk0,format=qcow2,cache=unsafe,file=/d,,ir/201.qcow2"},
			nil,
		},
	}
	for _, c := range cases {
		for _, word := range c.has {
			if !slices.Contains(c.args, word) {
				t.Errorf("%s: no %q in %q", c.name, word, c.args)
			}
		}
		for _, word := range c.lack {
			if slices.Contains(c.args, word) {
				t.Errorf("%s: %q in %q", c.name, word, c.args)
			}
		}
	}
}

func TestAgentOptionForms(t *testing.T) {
	for option, want := range map[string]bool{
		"": false, "0": false, "1": true, "enabled=1": true, "enabled=0,fstrim_cloned_disks=1": false, "1,fstrim_cloned_disks=1": true,
		"fstrim_cloned_disks=1,enabled=1": true,
	} {
		if got := agentEnabled(option); got != want {
			t.Errorf("%q: %v, want %v", option, got, want)
		}
	}
}

// TestWordsAreFoundHoweverTheyArrive cuts a console's output at random places.
func TestWordsAreFoundHoweverTheyArrive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[abc]{0,30}`).Draw(t, "text")
		found := 0
		f := &finder{word: []byte("abcab"), found: func() { found++ }}
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			if wrote, err := f.Write([]byte(rest[:n])); wrote != n || err != nil {
				t.Fatalf("wrote %d, %v", wrote, err)
			}
			rest = rest[n:]
		}
		if want := strings.Contains(text, "abcab"); f.seen != want || found > 1 || (found == 1) != want {
			t.Fatalf("%q: seen %v, told %d times", text, f.seen, found)
		}
	})
}

func TestShellQuoteMakesOneWord(t *testing.T) {
	if got := shellQuote(`/a b/it's`); got != `'/a b/it'\''s'` {
		t.Error(got)
	}
}
