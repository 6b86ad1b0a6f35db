package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"mayfly/internal/sim/pve/qemu"
)

//go:embed packages.sh
var packagesScript string

// recipe is this program: whatever changes in it makes other images.
//
//go:embed *.go *.sh
var recipe embed.FS

// keep is how long an image that nobody asked for is kept.
const keep = 72 * time.Hour

// builder knows what goes into the images.
type builder struct {
	cache   string // images and Debian's base
	work    string // temporary, in the cache so that a rename moves from it
	common  string // the folder runners/common
	runOnce []byte // run-once.sh
	hook    []byte // job-started.sh
	// bootScript is provision.d/60-boot.sh, and only a part of the guests that it is measured in.
	bootScript []byte
	listener   []byte // bin/Runner.Listener, static
	version    string // what it says it is
	inputs     string // hash of all that goes in
}

// newBuilder reads and builds the inputs.
func newBuilder(ctx context.Context) (*builder, error) {
	module, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	root := filepath.Dir(strings.TrimSpace(string(module)))
	if err != nil || root == "." || root == os.DevNull {
		return nil, errors.New("not in a checkout: run it as go run ./test/guest")
	}
	b := &builder{}
	if b.cache, err = qemu.CacheDir(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	b.common = filepath.Join(root, "runners", "common")
	if b.runOnce, err = os.ReadFile(filepath.Join(b.common, "run-once.sh")); err != nil {
		return nil, fmt.Errorf("read run-once.sh: %w", err)
	}
	if b.hook, err = os.ReadFile(filepath.Join(root, "runners", "common", "job-started.sh")); err != nil {
		return nil, fmt.Errorf("read job-started.sh: %w", err)
	}
	if b.bootScript, err = os.ReadFile(filepath.Join(root, "runners", "common", "provision.d", "60-boot.sh")); err != nil {
		return nil, fmt.Errorf("read 60-boot.sh: %w", err)
	}
	if b.work, err = os.MkdirTemp(b.cache, ".work-"); err != nil {
		return nil, fmt.Errorf("make work folder: %w", err)
	}
	if err := b.buildListener(ctx, root); err != nil {
		b.close()
		return nil, err
	}
	if b.inputs, err = b.hashInputs(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// close removes what is half done, and gives the cache to whoever called us through sudo.
func (b *builder) close() {
	_ = os.RemoveAll(b.work)
	var uid, gid int
	if n, _ := fmt.Sscanf(os.Getenv("MAYFLY_GUEST_OWNER"), "%d:%d", &uid, &gid); n == 2 {
		_ = filepath.WalkDir(b.cache, func(path string, _ fs.DirEntry, _ error) error {
			return os.Lchown(path, uid, gid)
		})
	}
}

// buildListener builds the stand-in of GitHub's runner: static, and the same bytes for the same source.
func (b *builder) buildListener(ctx context.Context, root string) error {
	out := filepath.Join(b.work, "Runner.Listener")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, listenerPackage)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", listenerPackage, err, text)
	}
	var err error
	if b.listener, err = os.ReadFile(out); err != nil {
		return fmt.Errorf("read listener: %w", err)
	}
	said, err := exec.CommandContext(ctx, out, "--version").Output()
	if err != nil {
		return fmt.Errorf("ask listener for its version: %w", err)
	}
	b.version = string(said)
	return nil
}

func (b *builder) hashInputs() (string, error) {
	h := sha256.New()
	files, err := recipe.ReadDir(".")
	if err != nil {
		return "", fmt.Errorf("read recipe: %w", err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		text, err := recipe.ReadFile(f.Name())
		if err != nil {
			return "", fmt.Errorf("read recipe: %w", err)
		}
		_, _ = fmt.Fprintf(h, "%s %d\n%s", f.Name(), len(text), text) // a hash takes everything
	}
	_, _ = fmt.Fprintf(h, "run-once %d\n%shook %d\n%slistener %d\n%s", len(b.runOnce), b.runOnce, len(b.hook), b.hook, len(b.listener), b.listener)
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// image gives the folder of an image, built when it isn't there. Two builders at once both build; the first to rename
// wins, the other takes its.
func (b *builder) image(ctx context.Context, name string) (string, error) {
	dir := filepath.Join(b.cache, name+"-"+b.inputs)
	switch {
	case isBoot(name):
		sum := sha256.Sum256(b.bootScript)
		dir += "-" + hex.EncodeToString(sum[:4])
	case name == runnerName || name == vendorName:
		sum, err := b.hashCommon()
		if err != nil {
			return "", err
		}
		dir += "-" + sum
	}
	if err := whole(name, dir); err != nil {
		began := time.Now()
		tmp := filepath.Join(b.work, name)
		if err := os.Mkdir(tmp, 0o755); err != nil {
			return "", fmt.Errorf("make folder: %w", err)
		}
		var err error
		switch {
		case isBoot(name):
			err = b.boot(ctx, name, tmp)
		case name == runnerName:
			err = b.runner(ctx, tmp)
		case name == vendorName:
			err = b.vendor(ctx, tmp)
		default:
			err = b.guest(ctx, name, tmp)
		}
		if err != nil {
			return "", err
		}
		if whole(name, dir) != nil {
			_ = os.RemoveAll(dir) // whatever it is, it is no image
			if err := os.Rename(tmp, dir); err != nil {
				return "", fmt.Errorf("put image in place: %w", err)
			}
		}
		fmt.Fprintf(os.Stderr, "guest: built %s in %s\n", name, time.Since(began).Round(time.Second))
	}
	now := time.Now()
	if err := os.Chtimes(dir, now, now); err != nil {
		return "", fmt.Errorf("mark image as used: %w", err)
	}
	b.prune(name)
	return dir, b.point(name, dir)
}

// guest builds one of the guests that jobs run in.
func (b *builder) guest(ctx context.Context, name, dir string) error {
	var packages []string
	if name == "cloudinit" {
		packages = cloudInitPackages
	}
	base, err := b.base(ctx, packages...)
	if err != nil {
		return err
	}
	switch name {
	case "tiny":
		return b.tiny(ctx, base, dir)
	case "container":
		return b.container(ctx, base, dir)
	}
	return b.systemd(ctx, name, base, dir)
}

// whole says what is wrong with the folder of an image.
func whole(name, dir string) error {
	if name == "container" {
		_, err := os.Stat(filepath.Join(dir, rootArchive))
		return err
	}
	_, err := qemu.LoadImage(dir)
	return err
}

// point makes <cache>/<name> a link to the image, for qemu.FindImage.
func (b *builder) point(name, dir string) error {
	link := filepath.Join(b.work, name+".link")
	_ = os.Remove(link)
	if err := os.Symlink(filepath.Base(dir), link); err != nil {
		return fmt.Errorf("point to image: %w", err)
	}
	if err := os.Rename(link, filepath.Join(b.cache, name)); err != nil {
		return fmt.Errorf("point to image: %w", err)
	}
	return nil
}

// prune removes what nobody asked for in days: images of older recipes, leftovers of builds that were killed.
func (b *builder) prune(name string) {
	for _, pattern := range []string{name + "-*", ".work-*", "base-*"} {
		old, _ := filepath.Glob(filepath.Join(b.cache, pattern))
		for _, path := range old {
			if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > keep {
				_ = os.RemoveAll(path)
			}
		}
	}
}
