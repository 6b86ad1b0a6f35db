package main

import (
	"context"
	"fmt"
	"path/filepath"
)

// rootArchive is the one file of the container guest.
const rootArchive = "rootfs.tar"

// container packs the systemd guest's files without what only a machine needs: systemd-nspawn boots them in half a
// second. A tar keeps owners and modes, also in the cache of somebody who isn't root.
func (b *builder) container(ctx context.Context, base, dir string) error {
	root, err := b.unpack(ctx, base)
	if err != nil {
		return err
	}
	if err := b.furnish(root, "container"); err != nil {
		return fmt.Errorf("furnish guest: %w", err)
	}
	return command(ctx, "tar", "-C", string(root), "--numeric-owner", "--exclude=./boot/*", "--exclude=./usr/lib/modules/*",
		"--exclude=./var/cache/*", "--exclude=./var/lib/apt/*", "-cf", filepath.Join(dir, rootArchive), ".")
}
