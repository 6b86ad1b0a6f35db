package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	suite = "bookworm"
	// mirrorVariable names another mirror than Debian's own.
	mirrorVariable = "MAYFLY_DEBIAN_MIRROR"
)

// basePackages are what all guests are made of.
var basePackages = []string{
	"linux-image-cloud-amd64", "systemd-sysv", "qemu-guest-agent", "udev", "dbus", "iproute2", "busybox-static",
}

// cloudInitPackages are what the guest with cloud-init has beside them.
var cloudInitPackages = []string{"cloud-init"}

// baseArguments leave out what no guest reads, and make the initrd hold only what the root disk needs: 7 instead of
// 15 MB that GRUB reads through an emulated BIOS. (The cloud kernel has ext4 built in.)
func baseArguments(more []string) []string {
	return []string{
		"--variant=minbase",
		"--quiet",
		"--include=" + strings.Join(append(slices.Clone(basePackages), more...), ","),
		"--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-exclude=/usr/share/man/*",
		"--dpkgopt=path-exclude=/usr/share/locale/*",
		"--dpkgopt=path-exclude=/usr/share/i18n/*",
		`--aptopt=Acquire::Languages "none"`,
		"--aptopt=Acquire::Retries 3",
		`--essential-hook=mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"` +
			` && echo MODULES=list >"$1/etc/initramfs-tools/conf.d/guest"` +
			` && printf 'virtio_pci\nvirtio_blk\n' >"$1/usr/share/initramfs-tools/modules.d/guest"`,
	}
}

// base gives Debian as a tar: the slow part (half a minute and 150 MB of downloads), the same for every recipe that
// asks for the same packages. It is kept as long as it is used; `rm` it for newer packages.
func (b *builder) base(ctx context.Context, more ...string) (string, error) {
	return b.baseOf(ctx, strings.Join(more, " "), baseArguments(more))
}

// baseOf is base for other arguments of mmdebstrap.
func (b *builder) baseOf(ctx context.Context, what string, args []string) (string, error) {
	mirror := os.Getenv(mirrorVariable)
	sum := sha256.Sum256([]byte(suite + "\x00" + mirror + "\x00" + strings.Join(args, "\x00")))
	path := filepath.Join(b.cache, "base-"+hex.EncodeToString(sum[:])[:16]+".tar")
	now := time.Now()
	if os.Chtimes(path, now, now) == nil {
		return path, nil
	}
	fmt.Fprintf(os.Stderr, "guest: fetching Debian %s %s\n", suite, what)
	tmp := filepath.Join(b.work, "base.tar")
	args = append(args, suite, tmp)
	if mirror != "" {
		args = append(args, mirror)
	}
	if err := command(ctx, "mmdebstrap", args...); err != nil {
		return "", fmt.Errorf("fetch Debian: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return "", fmt.Errorf("keep Debian: %w", err)
	}
	return path, nil
}
