//go:build e2e

package e2e

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/sim/pve"
)

//go:embed proxmoxcreate.sh
var proxmoxCreate string

// bridge is a network of this machine alone: an address here, and the containers that join it.
type bridge struct {
	name string
	// here is this machine's address, next a container's; both in a network of four addresses.
	here, next net.IP
}

// newBridge makes one in 198.18.0.0/15, which is for tests (RFC 2544), at a place of its own among those that may be made at once.
func newBridge(t *testing.T) bridge {
	t.Helper()
	n := os.Getpid() & 0x7fff
	at := func(i int) net.IP { return net.IPv4(198, byte(18+n>>14), byte(n>>6), byte(n<<2+i)).To4() }
	b := bridge{name: fmt.Sprintf("mfe2e%d", n), here: at(1), next: at(2)}
	rootDo(t, "ip", "link", "add", b.name, "type", "bridge")
	t.Cleanup(func() { rootDo(t, "ip", "link", "del", b.name) })
	rootDo(t, "ip", "address", "add", b.here.String()+"/30", "dev", b.name)
	rootDo(t, "ip", "link", "set", b.name, "up")
	return b
}

// asNodesRoot runs a command as root, who may hand out the owners from 100000 on, as on Proxmox's nodes. Elsewhere /etc/subuid must say so
// to LXC wherever newuidmap is installed; hidden from LXC it is as if it weren't, and root may hand out what he likes.
func asNodesRoot(ctx context.Context, args ...string) *exec.Cmd {
	const hide = `for program in newuidmap newgidmap; do
  if path=$(command -v $program); then mount --bind /dev/null "$path" || exit; fi
done
exec "$@"`
	return asRoot(ctx, append([]string{"unshare", "--mount", "sh", "-c", hide, "sh"}, args...)...)
}

// inUserns runs a command as the root of an unprivileged container, whose owners are ours and 100000 more, as Proxmox does.
func inUserns(ctx context.Context, args ...string) *exec.Cmd {
	return asNodesRoot(ctx, append([]string{"lxc-usernsexec", "-m", "u:0:100000:65536", "-m", "g:0:100000:65536", "--"}, args...)...)
}

// lxc is an unprivileged LXC container, made of an archive as Proxmox makes one.
type lxc struct {
	t          *testing.T
	name, root string
	dir        string // lxc's own
	cmd        *exec.Cmd
	console    *lockedBuffer
	ended      chan struct{} // closed when lxc-start has ended
}

// newLXC unpacks a container's archive and does to it what Proxmox does, but starts nothing.
func newLXC(t *testing.T, ct *pve.Container, b bridge) *lxc {
	t.Helper()
	dir := memory(t)
	c := &lxc{t: t, name: fmt.Sprintf("%s-%d", filepath.Base(dir), ct.VMID), dir: dir, root: filepath.Join(dir, "rootfs")}
	archive, err := ct.Archive()
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	rootDo(t, "mkdir", c.root)
	rootDo(t, "chown", "100000:100000", c.root)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// pve-container src/PVE/LXC/Create.pm, restore_tar_archive_command; pve-storage src/PVE/Storage/Plugin.pm, COMMON_TAR_FLAGS.
	tar := inUserns(ctx, "tar", "xpf", "-", "--zstd", "--totals", "--one-file-system", "-p", "--sparse", "--numeric-owner", "--acls", "--xattrs",
		"--xattrs-include=user.*", "--xattrs-include=security.capability", "--warning=no-file-ignored", "--warning=no-xattr-write",
		"-C", c.root, "--skip-old-files", "--anchored", "--exclude", "./dev/*")
	tar.Stdin = archive
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("unpack the container's archive: %v: %s", err, out)
	}
	address := b.next.String() + "/30"
	setup := inUserns(ctx, "env", "KEYS="+ct.AuthorizedKeys, "CT_NAME="+ct.Config["hostname"], "ADDRESS="+address, "GATEWAY="+b.here.String(),
		"sh", "-s", c.root)
	setup.Stdin = strings.NewReader(proxmoxCreate)
	if out, err := setup.CombinedOutput(); err != nil {
		t.Fatalf("set the container up: %v: %s", err, out)
	}
	c.write("config", fmt.Sprintf(lxcConfig, ct.Config["hostname"], c.root, b.name)+c.volume(ct.Config["mp0"]))
	return c
}

// volume makes the volume of a mount point as Proxmox does, open and with a lost+found of the node's root, which is nobody in the
// container; and the line that mounts it.
func (c *lxc) volume(mp string) string {
	c.t.Helper()
	_, at, ok := strings.Cut(mp, "mp=/")
	if !ok {
		return ""
	}
	at, _, _ = strings.Cut(at, ",")
	disk := filepath.Join(c.dir, "mp0")
	rootDo(c.t, "mkdir", "-m", "755", disk)
	rootDo(c.t, "mkdir", "-m", "700", filepath.Join(disk, "lost+found"))
	rootDo(c.t, "chown", "100000:100000", disk)
	return fmt.Sprintf("lxc.mount.entry = %s %s none bind,create=dir 0 0\n", disk, at)
}

// lxcConfig is what Proxmox writes for an unprivileged container with nesting (pve-container src/PVE/LXC.pm, update_lxc_config; nesting
// adds the mounts of nesting.conf), without AppArmor, seccomp and cgroup limits, which not every machine that runs tests has.
const lxcConfig = `lxc.include = /usr/share/lxc/config/common.conf
lxc.include = /usr/share/lxc/config/userns.conf
lxc.include = /usr/share/lxc/config/nesting.conf
lxc.arch = amd64
lxc.apparmor.profile = unconfined
lxc.mount.auto = sys:mixed
lxc.monitor.unshare = 1
lxc.idmap = u 0 100000 65536
lxc.idmap = g 0 100000 65536
lxc.tty.max = 2
lxc.environment = TERM=linux
lxc.uts.name = %s
lxc.rootfs.path = dir:%s
lxc.net.0.type = veth
lxc.net.0.link = %s
lxc.net.0.name = eth0
lxc.net.0.flags = up
`

// write puts a file beside the container's root.
func (c *lxc) write(name, text string) {
	c.t.Helper()
	cmd := asRoot(c.t.Context(), "tee", filepath.Join(c.dir, name))
	cmd.Stdin = strings.NewReader(text)
	if err := cmd.Run(); err != nil {
		c.t.Fatal(err)
	}
}

// start boots the container, and waits until its systemd has come to an end with that.
func (c *lxc) start() {
	c.t.Helper()
	c.console, c.ended = &lockedBuffer{}, make(chan struct{})
	c.cmd = asNodesRoot(context.WithoutCancel(c.t.Context()), "lxc-start", "-F", "-q", "-n", c.name, "-P", c.dir, "-f", filepath.Join(c.dir, "config"),
		"-o", filepath.Join(c.dir, "log"), "-l", "WARN")
	c.cmd.Stdout, c.cmd.Stderr = c.console, c.console
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	cmd, ended := c.cmd, c.ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // killed, by us
	}()
	c.t.Cleanup(c.stop)
	var state string
	c.until("boot", func() bool {
		_, state = c.sh("systemctl is-system-running")
		return state == "running" || state == "degraded"
	})
	if state == "degraded" {
		_, failed := c.sh("systemctl --failed --no-legend --plain")
		c.t.Logf("some units failed, as in real unprivileged containers:\n%s", failed)
	}
}

// stop kills all that runs in the container, as Proxmox's stop does.
func (c *lxc) stop() {
	c.t.Helper()
	select {
	case <-c.ended:
		return
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if out, err := asRoot(ctx, "lxc-stop", "-k", "-n", c.name, "-P", c.dir).CombinedOutput(); err != nil {
		c.t.Errorf("stop container: %v: %s", err, out)
	}
	select {
	case <-c.ended:
	case <-ctx.Done():
		c.t.Error("the container didn't end")
	}
}

// sh runs a shell command in the container; without its last newline is what it wrote.
func (c *lxc) sh(script string) (code int, out string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.t.Context()), patience)
	defer cancel()
	cmd := asRoot(ctx, "lxc-attach", "-q", "-n", c.name, "-P", c.dir, "--clear-env", "-v", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "-v", "LC_ALL=C.UTF-8", "--",
		"/bin/bash", "-c", script)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		c.t.Fatalf("%s: %v", script, err)
	}
	return cmd.ProcessState.ExitCode(), strings.TrimSpace(string(text))
}

// must is sh that wants exit code 0.
func (c *lxc) must(script string) string {
	c.t.Helper()
	code, out := c.sh(script)
	if code != 0 {
		c.t.Fatalf("%s: exit code %d: %s\n%s", script, code, out, c.report())
	}
	return out
}

func (c *lxc) until(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("never came: %s\n%s", what, c.report())
		}
	}
}

// report is what there is to know of a failure.
func (c *lxc) report() string {
	_, journal := c.sh("journalctl --no-pager -n 80")
	log, _ := asRoot(context.WithoutCancel(c.t.Context()), "cat", filepath.Join(c.dir, "log")).Output()
	return fmt.Sprintf("console:\n%s\nlxc:\n%s\njournal:\n%s", c.console.String(), log, journal)
}
