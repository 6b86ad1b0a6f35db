package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mayfly/internal/sim/pve/qemu"
)

// bootPrefix starts the names of the guests that test/boot compares: "boot-stock", "boot-all", "boot-floor", or "boot-" and
// a list of provision.d/60-boot.sh's tricks with a "+" between them.
const bootPrefix = "boot-"

// bootPackages are what a runner template made of Debian's own cloud image or by its installer has, as far as it takes
// part in the boot: netplan, networkd, resolved, cloud-init, ssh, the timers of upkeep. (The kernel is the cloud one in
// both: the installer's has more drivers, which take a real machine longer. AppArmor is left out: a template that was booted
// once has its profiles compiled, and these guests never were.)
var bootPackages = []string{
	"linux-image-cloud-amd64", "systemd-sysv", "systemd-resolved", "systemd-timesyncd", "udev", "dbus", "iproute2",
	"netplan.io", "cloud-init", "cloud-guest-utils", "qemu-guest-agent", "openssh-server", "sudo",
	"unattended-upgrades", "ca-certificates", "curl", "busybox-static", "zstd", "logrotate",
}

// bootScripts furnishes the guest and, as process 1 of the floor, is the least that gets to "ready".
//
//go:embed bootstock.sh
var bootStock []byte

//go:embed bootinit.sh
var bootInit []byte

// boot builds one of the guests to compare. Their disks are the same but for what the tricks change; the floor is the
// one with all tricks, and another process 1.
func (b *builder) boot(ctx context.Context, name, dir string) error {
	base, err := b.baseOf(ctx, "boot", bootArguments())
	if err != nil {
		return err
	}
	tricks := strings.ReplaceAll(strings.TrimPrefix(name, bootPrefix), "+", ",")
	initPath := ""
	switch tricks {
	case "stock":
		tricks = "none"
	case "floor":
		tricks, initPath = "all", " init=/usr/local/sbin/boot-init"
	}

	// The tricks change the root file system, so each guest has its own.
	root := rootfs(filepath.Join(b.work, name+".root"))
	defer func() { _ = os.RemoveAll(string(root)) }()
	if err := os.Mkdir(string(root), 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := command(ctx, "tar", "-xpf", base, "-C", string(root), "--numeric-owner"); err != nil {
		return err
	}
	for _, f := range []guestFile{
		{"usr/local/sbin/boot-init", 0o755, 0, bootInit},
		{"etc/mayfly-image", 0o644, 0, []byte(name + "\n")},
		{"opt/actions-runner/run-once.sh", 0o755, 0, b.runOnce},
		{"opt/actions-runner/config.sh", 0o755, runnerID, []byte(configScript)},
		{"opt/actions-runner/bin/Runner.Listener", 0o755, runnerID, b.listener},
		{"opt/actions-runner/runner-version", 0o644, 0, []byte(b.version)},
		{"root/bootstock.sh", 0o755, 0, bootStock},
		{"root/60-boot.sh", 0o755, 0, b.bootScript},
	} {
		if err := os.MkdirAll(filepath.Dir(root.path(f.name)), 0o755); err != nil {
			return fmt.Errorf("furnish guest: %w", err)
		}
		if err := os.WriteFile(root.path(f.name), f.data, f.mode); err != nil {
			return fmt.Errorf("furnish guest: %w", err)
		}
		if err := os.Lchown(root.path(f.name), f.uid, f.uid); err != nil {
			return fmt.Errorf("furnish guest: %w", err)
		}
	}
	// In its own mount namespace: what is mounted for the scripts is gone with them.
	if err := command(ctx, "unshare", "--mount", "sh", "-c",
		`set -e; mount -t proc proc "$1/proc"; mount -t sysfs sysfs "$1/sys"; mount --bind /dev "$1/dev"
exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin BOOT_TRICKS="$2" INIT="$3" sh -c 'sh /root/bootstock.sh before && sh /root/60-boot.sh && sh /root/bootstock.sh after'`,
		"sh", string(root), tricks, initPath); err != nil {
		return fmt.Errorf("furnish guest: %w", err)
	}
	raw := filepath.Join(b.work, "disk.raw")
	if err := makeDisk(ctx, root, raw, filepath.Join(b.work, "core.img"), diskMiB); err != nil {
		return err
	}
	if err := command(ctx, "qemu-img", "convert", "-O", "qcow2", raw, filepath.Join(dir, "disk.qcow2")); err != nil {
		return err
	}
	return b.bootFiles(root, name, dir)
}

// bootFiles puts beside the disk what the engine wants of every image.
func (b *builder) bootFiles(root rootfs, name, dir string) error {
	version, err := root.kernel()
	if err != nil {
		return err
	}
	for file, from := range map[string]string{"vmlinuz": "boot/vmlinuz-" + version, "busybox": "usr/bin/busybox"} {
		data, err := root.read(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o755); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return qemu.Image{
		Dir: dir, Name: name, Disk: "disk.qcow2", Kernel: "vmlinuz", Busybox: "busybox", MemoryMiB: 1024, TBMiB: 256,
	}.Save()
}

// bootArguments are mmdebstrap's for the guests to compare: Debian's own initrd, with everything in it.
func bootArguments() []string {
	args := baseArguments(nil)
	args = args[:len(args)-1] // without the hook that makes the initrd small
	for i, arg := range args {
		if strings.HasPrefix(arg, "--include=") {
			args[i] = "--include=" + strings.Join(bootPackages, ",")
		}
	}
	return args
}

// isBoot tells the names of guests to compare from others, and those with characters that are in no trick's name.
func isBoot(name string) bool {
	rest, ok := strings.CutPrefix(name, bootPrefix)
	return ok && rest != "" && len(bytes.Trim([]byte(rest), "abcdefghijklmnopqrstuvwxyz-+")) == 0
}
