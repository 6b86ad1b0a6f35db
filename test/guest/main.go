package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

// run builds the images named, or all.
func run(ctx context.Context, names []string) error {
	// Where root's programs are, which an ordinary user's PATH may lack.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return fmt.Errorf("widen PATH: %w", err)
	}
	all := []string{"tiny", "systemd", "cloudinit", "container", runnerName, vendorName}
	if len(names) == 0 {
		names = all
	}
	for _, name := range names {
		if !slices.Contains(all, name) && !isBoot(name) {
			return fmt.Errorf("no guest %q: there are %q", name, all)
		}
	}
	if err := command(ctx, "sh", "-c", packagesScript); err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return asRoot(ctx, names)
	}
	b, err := newBuilder(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	for _, name := range names {
		dir, err := b.image(ctx, name)
		if err != nil {
			return fmt.Errorf("build %s guest: %w", name, err)
		}
		fmt.Println(dir)
	}
	return nil
}

// asRoot starts this program again through sudo, with our cache and our Go.
func asRoot(ctx context.Context, names []string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("find cache folder: %w", err)
	}
	args := []string{
		"-n", "env", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "XDG_CACHE_HOME=" + cache,
		fmt.Sprintf("MAYFLY_GUEST_OWNER=%d:%d", os.Getuid(), os.Getgid()), self,
	}
	cmd := exec.CommandContext(ctx, "sudo", append(args, names...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build guests through sudo: %w; they need root for the owners of their files", err)
	}
	return nil
}

// command runs a program and gives its last words when it fails.
func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err == nil {
		return nil
	}
	if len(out) > 2000 {
		out = out[len(out)-2000:]
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("run %s: %w", name, err)
	}
	return fmt.Errorf("run %s: %w: %s", name, err, out)
}
