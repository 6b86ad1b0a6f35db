package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"mayfly/internal/sim/pve/qemu"
)

// diskMiB is the size of a systemd guest's disk: Debian and some room for jobs.
const diskMiB = 1024

// grubConfig boots at once. What the kernel is told saves an emulated processor seconds and changes nothing else.
const grubConfig = `set timeout=0
linux /vmlinuz root=/dev/vda1 rw console=ttyS0 quiet mitigations=off nokaslr no_timer_check tsc=reliable random.trust_cpu=on
initrd /initrd.img
boot
`

// masked units do nothing for a VM that lives for one job.
var masked = []string{
	"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
	"fstrim.timer", "systemd-tmpfiles-clean.timer", "getty@tty1.service", "serial-getty@ttyS0.service",
	"dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
	"systemd-update-utmp.service", "systemd-pstore.service",
}

// guestFile is a file that a systemd guest has beside Debian's.
type guestFile struct {
	name string
	mode os.FileMode
	uid  int
	data []byte
}

func (b *builder) guestFiles(name string) []guestFile {
	files := []guestFile{
		{"etc/hostname", 0o644, 0, []byte("runner\n")},
		{"etc/machine-id", 0o444, 0, nil}, // each VM makes its own
		{"etc/fstab", 0o644, 0, nil},
		{"etc/mayfly-image", 0o644, 0, []byte(name + " " + b.inputs + "\n")},
		{"etc/systemd/network/20-wired.network", 0o644, 0, []byte("[Match]\nName=e*\n\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n")},
		// The agent answers before the rest has started, as runner templates want it: what it is asked to run waits
		// for what it needs.
		{"etc/systemd/system/qemu-guest-agent.service.d/early.conf", 0o644, 0, []byte("[Unit]\nDefaultDependencies=no\nAfter=systemd-remount-fs.service\n")},
		{"boot/grub/grub.cfg", 0o644, 0, []byte(grubConfig)},
		{"opt/actions-runner/run-once.sh", 0o755, 0, b.runOnce},
		{"opt/actions-runner/job-started.sh", 0o755, 0, b.hook},
		{"opt/actions-runner/config.sh", 0o755, runnerID, []byte(configScript)},
		{"opt/actions-runner/bin/Runner.Listener", 0o755, runnerID, b.listener},
		{"opt/actions-runner/runner-version", 0o644, 0, []byte(b.version)},
	}
	if name == "cloudinit" {
		files = append(files, guestFile{"etc/cloud/cloud.cfg.d/90-mayfly.cfg", 0o644, 0, []byte(cloudConfig)})
	}
	return files
}

// cloudConfig keeps cloud-init to what a runner's user-data is made of. Every module costs an emulated processor a second,
// and locale fails without Debian's locales. The network is the image's own, as in runner templates.
const cloudConfig = `datasource_list: [ NoCloud, None ]
network: { config: disabled }
cloud_init_modules: [ write-files, set_hostname, update_etc_hosts, users-groups ]
cloud_config_modules: [ runcmd ]
cloud_final_modules: [ scripts-user ]
users: []
`

// systemd builds a guest that boots by itself: BIOS, MBR, GRUB, Debian's kernel and initrd, systemd; "cloudinit" is the one
// whose base has cloud-init.
func (b *builder) systemd(ctx context.Context, name, base, dir string) error {
	root, err := b.unpack(ctx, base)
	if err != nil {
		return err
	}
	if err := b.furnish(root, name); err != nil {
		return fmt.Errorf("furnish guest: %w", err)
	}
	return b.disk(ctx, root, dir, name, diskMiB)
}

// disk makes the image of a guest of its files.
func (b *builder) disk(ctx context.Context, root rootfs, dir, name string, sizeMiB int) error {
	raw := filepath.Join(b.work, "disk.raw")
	if err := makeDisk(ctx, root, raw, filepath.Join(b.work, "core.img"), sizeMiB); err != nil {
		return err
	}
	// zstd reads faster than the disk it saves; 140 instead of 400 MB.
	if err := command(ctx, "qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", raw,
		filepath.Join(dir, "disk.qcow2")); err != nil {
		return err
	}
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
		Dir: dir, Name: name, Disk: "disk.qcow2", Kernel: "vmlinuz", Busybox: "busybox",
		MemoryMiB: 512, TBMiB: 256,
	}.Save()
}

// furnish makes Debian a runner's guest.
func (b *builder) furnish(root rootfs, name string) error {
	for _, f := range b.guestFiles(name) {
		path := root.path(f.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		_ = os.Remove(path) // it may be a link
		if err := os.WriteFile(path, f.data, f.mode); err != nil {
			return err
		}
		if err := os.Chmod(path, f.mode); err != nil {
			return err
		}
		if err := os.Lchown(path, f.uid, f.uid); err != nil {
			return err
		}
	}
	for file, line := range map[string]string{
		"etc/passwd": "runner:x:1001:1001::/home/runner:/bin/bash\n", "etc/group": runnerGroup, "etc/shadow": "runner:!:20000:0:99999:7:::\n",
	} {
		text, err := root.read(file)
		if err != nil {
			return err
		}
		if bytes.Contains(text, []byte("runner:")) {
			continue
		}
		if err := os.WriteFile(root.path(file), append(text, line...), 0o600); err != nil { // keeps the mode there is
			return err
		}
	}
	for _, dir := range []string{"home/runner", "opt/actions-runner", "opt/actions-runner/bin", "opt/actions-runner/_work"} {
		if err := os.MkdirAll(root.path(dir), 0o755); err != nil {
			return err
		}
		if err := os.Lchown(root.path(dir), runnerID, runnerID); err != nil {
			return err
		}
	}
	links := map[string]string{
		"etc/systemd/system/multi-user.target.wants/systemd-networkd.service":                 "/lib/systemd/system/systemd-networkd.service",
		"etc/systemd/system/sockets.target.wants/systemd-networkd.socket":                     "/lib/systemd/system/systemd-networkd.socket",
		"etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service": "/lib/systemd/system/systemd-networkd-wait-online.service",
		"etc/systemd/system/dbus-org.freedesktop.network1.service":                            "/lib/systemd/system/systemd-networkd.service",
		"etc/systemd/system/default.target":                                                   "/lib/systemd/system/multi-user.target",
	}
	for _, unit := range masked {
		links["etc/systemd/system/"+unit] = "/dev/null"
	}
	for link, target := range links {
		path := root.path(link)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		_ = os.Remove(path)
		if err := os.Symlink(target, path); err != nil {
			return err
		}
	}
	return nil
}

// makeDisk makes a disk that a PC's BIOS boots: a partition table, GRUB before the one partition, ext4 in it. It needs
// neither a loop device nor a mount.
func makeDisk(ctx context.Context, root rootfs, raw, core string, sizeMiB int) error {
	const offset = 2048 * 512 // of the partition
	script := fmt.Sprintf(`set -e
truncate -s %dM "$1"
printf 'label: dos\nstart=2048, type=83, bootable\n' | sfdisk -q "$1"
mke2fs -q -F -t ext4 -L rootfs -O ^metadata_csum_seed -E offset=%d,lazy_itable_init=1,lazy_journal_init=1 -m 0 -d "$2" "$1" %dM
grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o "$3" biosdisk part_msdos ext2 linux normal configfile minicmd
dd if=/usr/lib/grub/i386-pc/boot.img of="$1" bs=446 count=1 conv=notrunc status=none
dd if="$3" of="$1" bs=512 seek=1 conv=notrunc status=none
`, sizeMiB, offset, sizeMiB-1)
	if err := command(ctx, "sh", "-c", script, "sh", raw, string(root), core); err != nil {
		return fmt.Errorf("make disk: %w", err)
	}
	return nil
}
