//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/pve/qemu"
)

// cluster is a stand-in of Proxmox VE with real machines, one of GitHub, and `mayfly run` between them.
type cluster struct {
	t       *testing.T
	machine *qemu.Engine
	pve     *pve.Server
	gh      *gh.Server
	dir     string // where the engine's files are
}

// newCluster starts the stand-ins on loopback ports of the system's choice.
func newCluster(t *testing.T, im qemu.Image) *cluster {
	t.Helper()
	return newClusterThat(t, im, pve.Options{})
}

// newClusterThat is one with options of its own.
func newClusterThat(t *testing.T, im qemu.Image, o pve.Options) *cluster {
	t.Helper()
	return newClusterBeside(t, im, o, gh.Options{})
}

// newClusterBeside is one beside a stand-in of GitHub with options of its own.
func newClusterBeside(t *testing.T, im qemu.Image, o pve.Options, hub gh.Options) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: shortDir(t)}
	var address string
	c.gh, address = newGitHubThat(t, hub)
	var err error
	c.machine, err = qemu.New(t.Context(), qemu.Options{Image: im, GitHub: address, Accel: accel(), Dir: c.dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.machine.Close(); err != nil {
			t.Error(err)
		}
		wantNoQEMU(t, c.dir)
	})
	o.Seed, o.Engine = 7, c.machine
	c.pve = pve.New(o)
	t.Cleanup(c.pve.Close)
	if _, err := c.pve.Listen(); err != nil {
		t.Fatal(err)
	}
	return c
}

// environment is all that `mayfly run` is told.
func (c *cluster) environment(atOnce int) map[string]string {
	proxmox, github := c.pve.Info(), c.gh.Info()
	return map[string]string{
		"PROXMOX_URL": proxmox.URL, "PROXMOX_NODE": proxmox.Node, "PROXMOX_POOL": proxmox.ResourcePool,
		"PROXMOX_TOKEN_ID": proxmox.TokenID, "PROXMOX_TOKEN_SECRET": proxmox.TokenSecret, "PROXMOX_FINGERPRINT": proxmox.Fingerprint,
		"GITHUB_API_URL": github.APIURL + "/api/v3", "GITHUB_TOKEN": github.Token,
		"MAX_TOTAL_RUNNERS": strconv.Itoa(atOnce), "POLL_INTERVAL": "5",
	}
}

// mayfly is the command as a process of its own.
type mayfly struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   lockedBuffer
	ended chan error
}

// lockedBuffer is written to by the process's output and read by the test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// buildMayfly builds the command from this checkout.
func buildMayfly(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "mayfly")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, "./cmd/mayfly")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build mayfly: %v\n%s", err, out)
	}
	return program
}

// runMayfly starts `mayfly run` with these variables and no others, and with more arguments. Its health endpoints get a free port, which no
// variable can say.
func runMayfly(t *testing.T, program string, env map[string]string, args ...string) *mayfly {
	t.Helper()
	m := &mayfly{t: t, ended: make(chan error, 1)}
	m.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), program, append([]string{"run", "--listen", "127.0.0.1:0"}, args...)...)
	m.cmd.Dir = t.TempDir() // where no mayfly.yaml is
	m.cmd.Env = []string{}
	for name, value := range env {
		m.cmd.Env = append(m.cmd.Env, name+"="+value)
	}
	m.cmd.Stdout, m.cmd.Stderr = &m.log, &m.log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { m.ended <- m.cmd.Wait() }()
	t.Cleanup(func() {
		if m.cmd.ProcessState == nil { // a test that failed before stop
			_ = m.cmd.Process.Kill()
			<-m.ended
		}
		if t.Failed() {
			t.Logf("what mayfly run said:\n%s", &m.log)
		}
	})
	return m
}

// stop tells it to end, as systemd would, and wants it to end well.
func (m *mayfly) stop() {
	m.t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.t.Error(err)
	}
	select {
	case err := <-m.ended:
		if err != nil {
			m.t.Errorf("mayfly run ended with %v", err)
		}
	case <-time.After(patience):
		m.t.Fatal("mayfly run doesn't end")
	}
}

// wantNoSecrets looks for secrets in what it said.
func (m *mayfly) wantNoSecrets(env map[string]string) {
	m.t.Helper()
	for _, name := range []string{"PROXMOX_TOKEN_SECRET", "GITHUB_TOKEN"} {
		if strings.Contains(m.log.String(), env[name]) {
			m.t.Errorf("%s is in what mayfly run said", name)
		}
	}
}
