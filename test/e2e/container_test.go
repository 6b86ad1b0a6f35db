//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asRoot is a command that root runs, by sudo where we are somebody else.
func asRoot(ctx context.Context, args ...string) *exec.Cmd {
	if os.Getuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	return cmd
}

// rootDo runs a command as root and wants it to succeed.
func rootDo(t *testing.T, args ...string) {
	t.Helper()
	if out, err := asRoot(context.WithoutCancel(t.Context()), args...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v: %s", args, err, out)
	}
}

// memory is a folder in memory that is gone after the test. (A container's root in it may be an overlay's lower half
// whatever file system this machine has.)
func memory(t *testing.T) string {
	t.Helper()
	dir := shortDir(t)
	rootDo(t, "mount", "-t", "tmpfs", "-o", "mode=755", "mayfly-e2e", dir)
	t.Cleanup(func() { rootDo(t, "umount", "-l", dir) })
	return dir
}

// unpackContainer unpacks the container guest for newContainer.
func unpackContainer(t *testing.T) (base string) {
	t.Helper()
	base = memory(t)
	rootDo(t, "tar", "-xpf", filepath.Join(guestDir(t, "container"), "rootfs.tar"), "-C", base, "--numeric-owner")
	return base
}

// container is a machine of systemd's in a container: its own process 1, its own power-off, our kernel.
type container struct {
	t       *testing.T
	cmd     *exec.Cmd
	leader  string // its process 1, as we see it
	kept    string // what it changed of its root
	console lockedBuffer
	ended   chan error
}

// newContainer boots a container over an unpacked root; prepare is shell that runs in its root before.
func newContainer(t *testing.T, base, prepare string, options ...string) *container {
	t.Helper()
	dir := memory(t)
	c := &container{t: t, kept: filepath.Join(dir, "kept"), ended: make(chan error, 1)}
	root := filepath.Join(dir, "root")
	rootDo(t, "mkdir", c.kept, filepath.Join(dir, "work"), root)
	rootDo(t, "mount", "-t", "overlay", "-o", "lowerdir="+base+",upperdir="+c.kept+",workdir="+filepath.Join(dir, "work"), "mayfly-e2e", root)
	t.Cleanup(func() { rootDo(t, "umount", "-l", root) })
	if prepare != "" {
		rootDo(t, "chroot", root, "/bin/sh", "-ec", prepare)
	}
	args := []string{"systemd-nspawn", "-q", "-b", "-D", root, "--keep-unit", "--register=no", "--machine=" + filepath.Base(dir)}
	c.cmd = asRoot(context.WithoutCancel(t.Context()), append(args, options...)...)
	c.cmd.Stdout, c.cmd.Stderr = &c.console, &c.console
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.ended <- c.cmd.Wait()
	}()
	t.Cleanup(func() {
		if leader := initOf(c.cmd.Process.Pid); leader != "" {
			_ = asRoot(context.Background(), "kill", "-KILL", leader).Run()
		}
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the container didn't end")
		}
	})
	return c
}

// up waits until it has booted.
func (c *container) up() {
	c.t.Helper()
	c.until("boot", func() bool {
		c.leader = initOf(c.cmd.Process.Pid)
		if c.leader == "" {
			return false
		}
		code, _ := c.sh("systemctl is-active --quiet basic.target", "")
		return code == 0
	})
	// Swap is the host's, and none of a container's business.
	if code, out := c.sh("mount --bind /dev/null /proc/swaps", ""); code != 0 {
		c.t.Fatalf("hide swap: %s", out)
	}
}

// initOf finds, below a process, the one that is number 1 in a namespace of its own.
func initOf(pid int) string {
	for todo := []string{strconv.Itoa(pid)}; len(todo) > 0; todo = todo[1:] {
		status, err := os.ReadFile("/proc/" + todo[0] + "/status")
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
				if f := strings.Fields(ids); len(f) > 1 && f[len(f)-1] == "1" {
					return todo[0]
				}
			}
		}
		children, _ := filepath.Glob("/proc/" + todo[0] + "/task/*/children")
		for _, file := range children {
			text, _ := os.ReadFile(file) // its thread may have ended
			todo = slices.Concat(todo, strings.Fields(string(text)))
		}
	}
	return ""
}

// sh runs a shell command in the container to its end, as the guest agent would.
func (c *container) sh(script, stdin string) (code int, out string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), patience)
	defer cancel()
	cmd := asRoot(ctx, "nsenter", "-t", c.leader, "-a", "/bin/sh", "-c", script)
	cmd.Stdin = strings.NewReader(stdin)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatalf("%s: %v", script, err)
	}
	return cmd.ProcessState.ExitCode(), text.String()
}

// must is sh that wants exit code 0.
func (c *container) must(script, stdin string) string {
	c.t.Helper()
	code, out := c.sh(script, stdin)
	if code != 0 {
		c.t.Fatalf("%s: exit code %d: %s\nconsole:\n%s", script, code, out, c.console.String())
	}
	return out
}

func (c *container) until(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("never came: %s; console:\n%s", what, c.console.String())
		}
	}
}

// wantOff waits for the container's own power-off, which systemd-nspawn ends well after.
func (c *container) wantOff() {
	c.t.Helper()
	select {
	case err := <-c.ended:
		if err != nil {
			c.t.Errorf("container ended with %v; console:\n%s", err, c.console.String())
		}
	case <-time.After(patience):
		c.t.Fatalf("never powered off; console:\n%s", c.console.String())
	}
}

// keptFile reads a file that the container left on its disk; "" when there is none.
func (c *container) keptFile(path string) string {
	c.t.Helper()
	out, err := asRoot(context.WithoutCancel(c.t.Context()), "cat", filepath.Join(c.kept, path)).Output()
	if err != nil {
		return ""
	}
	return string(out)
}
