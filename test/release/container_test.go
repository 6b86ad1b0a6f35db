//go:build release

package release

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"mayfly/test/process"
)

// Deadlines, far above what it takes: the root file system half a minute, a boot a second.
const (
	building = 10 * time.Minute
	patience = 2 * time.Minute
	glance   = 100 * time.Millisecond
)

// container is a Debian with systemd that shares this machine's network, so that it reaches stand-ins on the loopback.
type container struct {
	t    *testing.T
	root string // its root file system
	init int    // its first process, as this machine counts
	log  *process.Journal
}

// newContainer builds a minimal Debian and boots it. nspawn's flags are those that work on hosts without systemd, too.
func newContainer(t *testing.T) *container {
	t.Helper()
	c := &container{t: t, root: filepath.Join(t.TempDir(), "root"), log: &process.Journal{}}
	c.here(building, "mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd-sysv,dbus", "bookworm", c.root)
	p := process.Start(t, process.Options{Env: process.Environment("LC_ALL=C"), Stdout: c.log, Stderr: c.log},
		"systemd-nspawn", "--quiet", "--boot", "--keep-unit", "--register=no", "--directory="+c.root)
	// Before its process is killed, which would leave the container's behind.
	t.Cleanup(func() {
		p.Terminate(t)
		if t.Failed() {
			t.Logf("container:\n%s", c.log.Tail(40))
		}
	})
	c.until("systemd comes up", func() bool {
		c.init = firstChild(p.PID())
		state, _ := c.try("systemctl", "is-system-running")
		return state == "running" || state == "degraded"
	})
	return c
}

// firstChild is the process that pid started first; 0 when there is none yet.
func firstChild(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0
	}
	words := strings.Fields(string(text))
	if len(words) == 0 {
		return 0
	}
	child, _ := strconv.Atoi(words[0])
	return child
}

// here runs a command on this machine and wants it to succeed.
func (c *container) here(limit time.Duration, name string, args ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = process.Environment("LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// try runs a command in the container.
func (c *container) try(args ...string) (string, error) {
	if c.init == 0 {
		return "", os.ErrNotExist
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(c.init), "--all"}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

// run runs a command in the container and wants it to succeed.
func (c *container) run(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		journal, _ := c.try("journalctl", "--no-pager", "-n", "40")
		c.t.Fatalf("in the container: %s: %v: %s\n%s", strings.Join(args, " "), err, out, journal)
	}
	return out
}

// property is a property of the service.
func (c *container) property(name string) string {
	c.t.Helper()
	return c.run("systemctl", "show", "--value", "--property="+name, "mayfly.service")
}

// until waits until ok, or fails the test.
func (c *container) until(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(glance) {
		if time.Now().After(deadline) {
			journal, _ := c.try("journalctl", "--no-pager", "-n", "60")
			c.t.Fatalf("%s: not within %s\n%s\n%s", what, patience, c.log.Tail(20), journal)
		}
	}
}

// write puts a file into the container.
func (c *container) write(path, text string, mode os.FileMode) {
	c.t.Helper()
	there := filepath.Join(c.root, path)
	if err := os.MkdirAll(filepath.Dir(there), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(there, []byte(text), mode); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Chmod(there, mode); err != nil {
		c.t.Fatal(err)
	}
}
