package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// vendorName is the guest that stands for a vendor's cloud image: Debian with cloud-init, as nobody has provisioned it. The
// packages that runners/common/provision.d wants are in it, and an archive with the stand-in of GitHub's runner, so that
// the scripts need no network.
const vendorName = "vendor"

// vendorArchive is where that archive is in the guest.
const vendorArchive = "var/lib/mayfly-test/actions-runner.tar.gz"

// vendor builds the guest.
func (b *builder) vendor(ctx context.Context, dir string) error {
	root, err := b.packaged(ctx)
	if err != nil {
		return err
	}
	archive, err := b.runnerArchive()
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		"etc/hostname": []byte("debian\n"), "etc/machine-id": nil, "etc/fstab": nil,
		"etc/cloud/cloud.cfg.d/90-mayfly.cfg": []byte(cloudConfig), "boot/grub/grub.cfg": []byte(grubConfig), vendorArchive: archive,
	} {
		path := root.path(name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("furnish guest: %w", err)
		}
		_ = os.Remove(path) // it may be a link
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("furnish guest: %w", err)
		}
	}
	// Beside the image, for whoever has to say which runner to install: checksum and version.
	sum := sha256.Sum256(archive)
	note := hex.EncodeToString(sum[:]) + " " + strings.TrimSpace(b.version) + "\n"
	if err := os.WriteFile(filepath.Join(dir, "runner"), []byte(note), 0o644); err != nil {
		return fmt.Errorf("write what runner it is: %w", err)
	}
	return b.disk(ctx, root, dir, vendorName, runnerDiskMiB)
}
