package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"mayfly/internal/sim/pve/qemu"
)

const (
	listenerPackage = "./internal/sim/listener"
	// runnerID is the user and the group of "runner" in all guests.
	runnerID = 1001
	// passwd and group of the tiny guest; the other one's are added to Debian's.
	runnerPasswd = "runner:x:1001:1001::/home/runner:/bin/sh\n"
	runnerGroup  = "runner:x:1001:\n"
	// configScript is what GitHub's config.sh does after its checks.
	configScript = "#!/bin/sh\ncd \"$(dirname \"$0\")\" && exec bin/Runner.Listener configure \"$@\"\n"
)

// tinyInit is process 1 of the tiny guest: it starts the agent, reaps whatever is orphaned, and does what busybox's
// poweroff asks of an init, by SIGUSR2. (Busybox's shell takes its own poweroff before any in PATH.)
const tinyInit = `#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
trap 'poweroff -f' USR2
chmod 755 /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
for module in %s; do insmod "$module"; done
hostname tiny
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.2.2
mount -t ext4 /dev/vda /opt/actions-runner/_work
while :; do
  for port in /sys/class/virtio-ports/*; do
    [ "$(cat "$port/name")" = org.qemu.guest_agent.0 ] || continue
    qemu-ga -m virtio-serial -p "/dev/${port##*/}" -t /run &
    wait $!
  done
  sleep 1
done
`

// tiny builds the small guest: everything in an initramfs that QEMU loads itself, and a disk of 64 MB for what jobs write.
func (b *builder) tiny(ctx context.Context, base, dir string) error {
	root, err := b.unpack(ctx, base)
	if err != nil {
		return err
	}
	version, err := root.kernel()
	if err != nil {
		return err
	}
	initrd, err := b.initramfs(ctx, root, version)
	if err != nil {
		return err
	}
	kernel, err := root.read("boot/vmlinuz-" + version)
	if err != nil {
		return err
	}
	busybox, err := root.read("usr/bin/busybox")
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{"initrd": initrd, "vmlinuz": kernel} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "busybox"), busybox, 0o755); err != nil {
		return fmt.Errorf("write busybox: %w", err)
	}
	raw := filepath.Join(b.work, "scratch.raw")
	if err := command(ctx, "mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal",
		"-E", fmt.Sprintf("root_owner=%d:%d", runnerID, runnerID), raw, "64M"); err != nil {
		return err
	}
	if err := command(ctx, "qemu-img", "convert", "-O", "qcow2", raw, filepath.Join(dir, "disk.qcow2")); err != nil {
		return err
	}
	return qemu.Image{
		Dir: dir, Name: "tiny", Disk: "disk.qcow2", Kernel: "vmlinuz", Initrd: "initrd", Busybox: "busybox",
		Append:    "console=ttyS0 quiet panic=-1 mitigations=off nokaslr no_timer_check tsc=reliable random.trust_cpu=on rdinit=/init",
		MemoryMiB: 192, TBMiB: 64,
	}.Save()
}

// initramfs puts the tiny guest together.
func (b *builder) initramfs(ctx context.Context, root rootfs, version string) ([]byte, error) {
	a := &archive{}
	for _, d := range []string{"proc", "sys", "dev", "run", "tmp", "etc", "root", "var/run", "usr/bin", "usr/sbin"} {
		a.dir(d, 0)
	}
	for link, target := range map[string]string{"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"} {
		a.symlink(link, target)
	}
	a.char("dev/console", 5, 1)

	applets, err := exec.CommandContext(ctx, root.path("usr/bin/busybox"), "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list busybox's programs: %w", err)
	}
	for applet := range strings.FieldsSeq(string(applets)) {
		if applet != "busybox" {
			a.symlink("usr/bin/"+applet, "busybox")
		}
	}
	libraries, err := root.libraries("usr/sbin/qemu-ga")
	if err != nil {
		return nil, err
	}
	modules, err := root.modules(version, "virtio_pci", "virtio_console", "virtio_net", "virtio_blk")
	if err != nil {
		return nil, err
	}
	for _, name := range append(append(libraries, modules...), "usr/bin/busybox", "usr/sbin/qemu-ga") {
		data, err := root.read(name)
		if err != nil {
			return nil, err
		}
		a.file(name, 0o755, 0, data)
	}
	// The loader's name is part of every program.
	a.dir("usr/lib64", 0)
	if !a.made["usr/lib64/ld-linux-x86-64.so.2"] {
		a.symlink("usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")
	}

	var insmod []string
	for _, m := range modules {
		insmod = append(insmod, "/"+m)
	}
	a.file("init", 0o755, 0, fmt.Appendf(nil, tinyInit, strings.Join(insmod, " ")))
	// What the agent's guest-shutdown runs.
	a.file("usr/sbin/shutdown", 0o755, 0, []byte("#!/bin/sh\nexec busybox poweroff -f\n"))
	a.file("etc/passwd", 0o644, 0, []byte("root:x:0:0:root:/root:/bin/sh\n"+runnerPasswd))
	a.file("etc/group", 0o644, 0, []byte("root:x:0:\n"+runnerGroup))
	a.file("etc/mayfly-image", 0o644, 0, []byte("tiny "+b.inputs+"\n"))
	a.dir("home/runner", runnerID)
	a.dir("opt/actions-runner", runnerID)
	a.dir("opt/actions-runner/_work", runnerID)
	a.dir("opt/actions-runner/bin", runnerID)
	a.file("opt/actions-runner/run-once.sh", 0o755, 0, b.runOnce)
	a.file("opt/actions-runner/job-started.sh", 0o755, 0, b.hook)
	a.file("opt/actions-runner/config.sh", 0o755, runnerID, []byte(configScript))
	a.file("opt/actions-runner/bin/Runner.Listener", 0o755, runnerID, b.listener)
	a.file("opt/actions-runner/runner-version", 0o644, 0, []byte(b.version))
	return a.bytes(), nil
}
