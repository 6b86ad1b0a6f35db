package common_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bootTricks are those of provision.d/60-boot.sh, with a file that each has when it is on.
var bootTricks = map[string]string{
	"agent":       "etc/systemd/system/qemu-guest-agent.service.d/50-mayfly-early.conf",
	"cloud-init":  "etc/cloud/cloud.cfg.d/99-mayfly-seed.cfg",
	"network":     "etc/systemd/system/systemd-networkd-wait-online.service.d/50-mayfly.conf",
	"initrd":      "etc/initramfs-tools/hooks/mayfly",
	"grub":        "etc/default/grub.d/90-mayfly-grub.cfg",
	"kernel":      "etc/default/grub.d/91-mayfly-kernel.cfg",
	"units":       "etc/systemd/system/serial-getty@ttyS0.service",
	"readahead":   "etc/systemd/system/multi-user.target.wants/mayfly-readahead.service",
	"mitigations": "etc/default/grub.d/92-mayfly-mitigations.cfg",
}

// bootRoot is a root file system as far as 60-boot.sh looks at it.
type bootRoot struct {
	t     *testing.T
	dir   string
	shell []string
}

func newBootRoot(t *testing.T, shell []string) *bootRoot {
	t.Helper()
	r := &bootRoot{t: t, dir: t.TempDir(), shell: shell}
	for _, unit := range []string{"getty@tty1.service", "serial-getty@ttyS0.service", "fstrim.timer", "systemd-fsck-root.service"} {
		r.write("usr/lib/systemd/system/"+unit, "[Unit]\n", 0o644)
	}
	r.write("etc/fstab", "LABEL=rootfs / ext4 defaults 0 1\n", 0o644)
	r.write("boot/grub/grub.cfg", "", 0o644)
	r.write("etc/systemd/system/apt-daily.timer", "somebody's own", 0o644)
	for _, tool := range []string{"update-initramfs", "update-grub"} {
		r.write("usr/sbin/"+tool, "#!/bin/sh\necho \"${0##*/} $*\" >>'"+r.dir+"/calls'\n", 0o755)
	}
	return r
}

func (r *bootRoot) write(name, text string, mode os.FileMode) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		r.t.Fatal(err)
	}
}

// run runs the script and gives what it prints and its exit code.
func (r *bootRoot) run(tricks string, env ...string) (string, int) {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), r.shell[0], append(slices.Clone(r.shell[1:]), "provision.d/60-boot.sh")...)
	cmd.Env = append(slices.Clone(env), "MAYFLY_ROOT="+r.dir, "BOOT_TRICKS="+tricks, "PATH="+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended { //nolint:errorlint // Run gives it bare
		r.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func (r *bootRoot) mustRun(tricks string, env ...string) {
	r.t.Helper()
	if out, code := r.run(tricks, env...); code != 0 {
		r.t.Fatalf("60-boot.sh with %q ends with %d:\n%s", tricks, code, out)
	}
}

// calls gives the programs that were run, and forgets them.
func (r *bootRoot) calls() string {
	path := filepath.Join(r.dir, "calls")
	text, _ := os.ReadFile(path)
	_ = os.Remove(path)
	return string(text)
}

// files gives what is there: each file's mode and text, each link's target.
func (r *bootRoot) files() map[string]string {
	r.t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := strings.TrimPrefix(path, r.dir+"/")
		if target, err := os.Readlink(path); err == nil {
			found[name] = "-> " + target
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		found[name] = fmt.Sprint(info.Mode(), " ", string(text))
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

func bootInEveryShell(t *testing.T, test func(*testing.T, *bootRoot)) {
	t.Helper()
	for label, shell := range shells(t) {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			test(t, newBootRoot(t, shell))
		})
	}
}

func TestEachBootTrickCanBeOnAloneAndOff(t *testing.T) {
	bootInEveryShell(t, func(t *testing.T, r *bootRoot) {
		before := r.files()
		for name, file := range bootTricks {
			r.mustRun(name)
			on := r.files()
			for other, path := range bootTricks {
				if _, there := on[path]; there != (other == name) {
					t.Errorf("with %s alone, %s is there: %t", name, path, there)
				}
			}
			if maps.Equal(on, before) || on[file] == "" {
				t.Errorf("%s changes nothing", name)
			}
			r.mustRun("none")
			r.calls()
			if after := r.files(); !maps.Equal(after, before) {
				t.Errorf("%s leaves traces when it is switched off: %v, want %v", name, after, before)
			}
		}
	})
}

func TestAllBootTricksLeaveMitigationsOn(t *testing.T) {
	bootInEveryShell(t, func(t *testing.T, r *bootRoot) {
		r.mustRun("all")
		on := r.files()
		for name, file := range bootTricks {
			if _, there := on[file]; there != (name != "mitigations") {
				t.Errorf("%s is on: %t", name, there)
			}
		}
		r.mustRun("all,mitigations")
		if !strings.Contains(r.files()[bootTricks["mitigations"]], "mitigations=off") {
			t.Error("mitigations can't be chosen beside all")
		}
	})
}

func TestBootTricksTwiceAreBootTricksOnce(t *testing.T) {
	bootInEveryShell(t, func(t *testing.T, r *bootRoot) {
		r.mustRun("all")
		if got := r.calls(); got != "update-initramfs -u -k all\nupdate-grub \n" {
			t.Errorf("first run calls %q", got)
		}
		once := r.files()
		r.mustRun("all")
		if got := r.calls(); got != "" {
			t.Errorf("second run calls %q, want nothing", got)
		}
		if twice := r.files(); !maps.Equal(once, twice) {
			t.Errorf("second run changes files: %v, want %v", twice, once)
		}
		r.mustRun("agent")
		if got := r.calls(); got != "update-initramfs -u -k all\nupdate-grub \n" {
			t.Errorf("what is switched off is not rebuilt: %q", got)
		}
	})
}

func TestABootTrickThatIsNoneIsRefused(t *testing.T) {
	bootInEveryShell(t, func(t *testing.T, r *bootRoot) {
		before := r.files()
		out, code := r.run("agent,speed")
		if code != 2 || !strings.Contains(out, "no trick 'speed'") {
			t.Errorf("ends with %d: %s", code, out)
		}
		if !maps.Equal(r.files(), before) {
			t.Error("it changed something first")
		}
	})
}

func TestConsolesStayWherePasswordsAreAllowed(t *testing.T) {
	bootInEveryShell(t, func(t *testing.T, r *bootRoot) {
		r.mustRun("all", "PASSWORD_LOGIN=true")
		on := r.files()
		if _, masked := on["etc/systemd/system/getty@tty1.service"]; masked {
			t.Error("getty is masked")
		}
		if on["etc/systemd/system/fstrim.timer"] != "-> /dev/null" {
			t.Error("fstrim is not masked")
		}
	})
}

func TestTheInitrdOfAMappedRootIsLeftAlone(t *testing.T) {
	for _, line := range []string{"/dev/mapper/vg-root / ext4 defaults 0 1", "/dev/disk/by-id/dm-uuid-LVM-x\t/\text4 defaults 0 1", "/dev/md0 / xfs defaults 0 0"} {
		bootInEveryShell(t, func(t *testing.T, r *bootRoot) {
			r.write("etc/fstab", "/dev/sda1 /boot ext4 defaults 0 1\n"+line+"\n", 0o644)
			r.mustRun("all")
			if _, there := r.files()[bootTricks["initrd"]]; there {
				t.Errorf("%s: its drivers are gone", line)
			}
		})
	}
}

// TestBootTricksAreAllKnown keeps the table above, the script's own list and its words apart from nothing.
func TestBootTricksAreAllKnown(t *testing.T) {
	text, err := os.ReadFile("provision.d/60-boot.sh")
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := bytes.Cut(text, []byte("set -u"))
	for name := range bootTricks {
		if !bytes.Contains(head, []byte("#   "+name+" ")) {
			t.Errorf("the script's head doesn't explain %s", name)
		}
		if !bytes.Contains(text, []byte("\n  trick "+name+" ")) {
			t.Errorf("the script doesn't know %s", name)
		}
	}
}
