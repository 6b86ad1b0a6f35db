package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mayfly/internal/sim/pve"
)

// startPatience is how long a QEMU process may take until its monitor answers; Proxmox allows a start 30 s.
const startPatience = 30 * time.Second

// machine is one QEMU process, from its start to its end. A VM that is started again is another machine.
type machine struct {
	pve.Machine
	e       *Engine
	forward *forward
	turn    chan struct{} // holds a token while somebody speaks to the agent: it hears one client at a time

	began   chan struct{} // closed when the process was started, or could not be
	gone    chan struct{} // closed when it has been waited for and nothing of it is left
	stopped atomic.Bool   // by Stop or Close: then Exited isn't called
	stderr  complaint

	mu      sync.Mutex
	process *os.Process // nil before began and after gone
	failure error       // why there is no process

	monitor monitor
}

func newMachine(e *Engine, pm pve.Machine) *machine {
	return &machine{
		Machine: pm, e: e, turn: make(chan struct{}, 1), began: make(chan struct{}), gone: make(chan struct{}),
		monitor: monitor{path: e.file(pm.VMID, "qmp")},
	}
}

// live starts the process and waits for its end. It keeps its thread: the kernel kills the child when the thread that
// started it ends (PR_SET_PDEATHSIG), and Go may end any other thread.
func (m *machine) live() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	log := m.e.opts.Logger.With("vmid", m.VMID)
	cmd, err := m.start()
	if err == nil {
		log.Debug("machine started", "pid", cmd.Process.Pid)
		err = cmd.Wait()
		m.mu.Lock()
		m.process = nil
		m.mu.Unlock()
		log.Debug("machine ended", "reason", err)
	}
	if m.forward != nil {
		m.forward.close()
	}
	m.monitor.close()
	for _, suffix := range []string{"qmp", "qga"} {
		_ = os.Remove(m.e.file(m.VMID, suffix))
	}
	m.e.forget(m)
	up := m.monitor.wasUp()
	close(m.gone)
	if up && !m.stopped.Load() && m.Exited != nil {
		m.Exited()
	}
}

// start starts the process, and closes began.
func (m *machine) start() (*exec.Cmd, error) {
	defer close(m.began)
	m.mu.Lock()
	defer m.mu.Unlock()
	fail := func(err error) (*exec.Cmd, error) {
		m.failure = fmt.Errorf("start failed: %w", err)
		return nil, m.failure
	}
	if m.stopped.Load() {
		return fail(errors.New("stopped before it began"))
	}
	if m.e.opts.GitHub != "" {
		f, err := newForward(m.e.ctx, m.e.opts.GitHub)
		if err != nil {
			return fail(err)
		}
		m.forward = f
	}
	if m.CloudInit != nil {
		if err := writeSeed(m.e.seed(m.VMID), m.CloudInit); err != nil {
			return fail(err)
		}
	}
	for drive, image := range m.Media {
		if err := os.WriteFile(m.e.medium(m.VMID, drive), image, 0o600); err != nil {
			return fail(fmt.Errorf("write medium: %w", err))
		}
	}
	cmd := exec.CommandContext(m.e.ctx, qemuProgram, m.arguments()...)
	cmd.Stderr = &m.stderr
	cmd.WaitDelay = time.Second // what QEMU started may hold its stderr
	// A group of its own, so that Ctrl-C on a terminal is ours to handle.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	m.process = cmd.Process
	return cmd, nil
}

// untilUp waits until the process answers on its monitor.
func (m *machine) untilUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	<-m.began
	for {
		err := m.monitor.open(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-m.gone:
			if m.failure != nil {
				return m.failure
			}
			return fmt.Errorf("start failed: QEMU exited: %s", firstLine(m.stderr.bytes()))
		case <-ctx.Done():
			m.kill()
			<-m.gone
			return fmt.Errorf("start failed: %w: %w", ctx.Err(), err)
		case <-time.After(20 * time.Millisecond): // the socket isn't there yet
		}
	}
}

// kill cuts the power. It doesn't wait.
func (m *machine) kill() {
	m.stopped.Store(true)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != nil {
		_ = m.process.Kill() // what it started for connections ends with the connections, which live closes
	}
}

// press presses the power button.
func (m *machine) press() error {
	if err := m.monitor.execute("system_powerdown", nil); err != nil {
		return fmt.Errorf("shut VM %d down: %w", m.VMID, err)
	}
	return nil
}

// complaint keeps the beginning of what is written to it: what a process complains of.
type complaint struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const maxComplaint = 4 << 10

// Write implements [io.Writer]; it never fails.
func (t *complaint) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p[:min(len(p), max(0, maxComplaint-t.buf.Len()))])
	return len(p), nil
}

func (t *complaint) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.buf.Bytes())
}

func firstLine(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return line
}
