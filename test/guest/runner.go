package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// runnerName is the guest that is made as people's runner images are: by runners/common/provision.sh, in a container over
// Debian. Only GitHub's runner is replaced, by an archive with the stand-in.
const runnerName = "runner"

// runnerDiskMiB is the size of its disk: compilers and all, and some room for jobs.
const runnerDiskMiB = 2048

// imageVersion is what the scripts are told. A clock's would make another image of the same recipe.
const imageVersion = "20261124-0000"

// packageList is where 10-packages.sh says what it installs.
var packageList = regexp.MustCompile(`(?m)^(?:packages|optional)='([^']+)'$`)

// packaged gives Debian with the packages that the scripts want, so that they run without a network.
func (b *builder) packaged(ctx context.Context) (rootfs, error) {
	script, err := os.ReadFile(filepath.Join(b.common, "provision.d", "10-packages.sh"))
	if err != nil {
		return "", fmt.Errorf("read packages of the runner image: %w", err)
	}
	var packages []string
	for _, m := range packageList.FindAllStringSubmatch(string(script), -1) {
		packages = append(packages, strings.Fields(m[1])...)
	}
	if len(packages) < 10 {
		return "", fmt.Errorf("read packages of the runner image: found %q in 10-packages.sh", packages)
	}
	base, err := b.base(ctx, packages...)
	if err != nil {
		return "", err
	}
	return b.unpack(ctx, base)
}

// runner builds the guest.
func (b *builder) runner(ctx context.Context, dir string) error {
	root, err := b.packaged(ctx)
	if err != nil {
		return err
	}
	if err := b.provision(ctx, root); err != nil {
		return err
	}
	if err := os.WriteFile(root.path("boot/grub/grub.cfg"), []byte(grubConfig), 0o644); err != nil {
		return fmt.Errorf("write GRUB's menu: %w", err)
	}
	return b.disk(ctx, root, dir, runnerName, runnerDiskMiB)
}

// provision runs the scripts in a container over the root file system.
func (b *builder) provision(ctx context.Context, root rootfs) error {
	const place = "var/tmp/mayfly"
	archive, err := b.runnerArchive()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(archive)
	if err := os.CopyFS(root.path(place+"/common"), os.DirFS(b.common)); err != nil {
		return fmt.Errorf("copy scripts: %w", err)
	}
	for name, text := range map[string][]byte{
		"runner.tar.gz": archive,
		"common/provision.env": fmt.Appendf(nil, "IMAGE_NAME='debian-12'\nIMAGE_VERSION='%s'\nRUNNER_VERSION='%s'\nRUNNER_SHA256='%s'\n"+
			"RUNNER_URL='file:///%s/runner.tar.gz'\nRUNNER_RELEASED='2026-11-20'\nSKIP_PACKAGES='true'\n",
			imageVersion, strings.TrimSpace(b.version), hex.EncodeToString(sum[:]), place),
	} {
		if err := os.WriteFile(root.path(place+"/"+name), text, 0o644); err != nil {
			return fmt.Errorf("copy scripts: %w", err)
		}
	}
	if err := os.MkdirAll(root.path("boot/grub"), 0o755); err != nil {
		return fmt.Errorf("make GRUB's folder: %w", err)
	}
	// Twice: they may run again over what they made.
	for range 2 {
		if err := command(ctx, "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "--resolv-conf=off", "--timezone=off",
			"--directory="+string(root), "/bin/sh", "/"+place+"/common/provision.sh"); err != nil {
			return fmt.Errorf("run the scripts of runners/common: %w", err)
		}
	}
	if err := os.RemoveAll(root.path(place)); err != nil {
		return fmt.Errorf("remove scripts: %w", err)
	}
	return nil
}

// runnerArchive is what GitHub publishes, with the stand-in's program in the place of theirs.
func (b *builder) runnerArchive() ([]byte, error) {
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	w := tar.NewWriter(zip)
	var errs []error
	for _, f := range []struct {
		name string
		data []byte
	}{
		{"./bin/Runner.Listener", b.listener},
		{"./config.sh", []byte(configScript)},
		{"./externals/README", []byte("GitHub's runner has node here.\n")},
	} {
		errs = append(errs, w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o755, Size: int64(len(f.data)), Typeflag: tar.TypeReg}))
		_, err := w.Write(f.data)
		errs = append(errs, err)
	}
	errs = append(errs, w.Close(), zip.Close())
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("pack the stand-in of GitHub's runner: %w", err)
	}
	return out.Bytes(), nil
}

// hashCommon is the hash of runners/common, for the images that its scripts make.
func (b *builder) hashCommon() (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(b.common, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		_, _ = fmt.Fprintf(h, "%s %d\n%s", strings.TrimPrefix(path, b.common), len(text), text)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read scripts: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil))[:8], nil
}
