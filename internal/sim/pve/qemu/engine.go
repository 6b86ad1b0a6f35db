package qemu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"mayfly/internal/sim/pve"
)

// GuestGitHubURL is where a guest reaches what Options.GitHub names: the base URL to write into identities.
const GuestGitHubURL = "http://" + guestGitHubHost

// guestGitHubHost is an address in QEMU's own user network, 10.0.2.0/24, that nothing else there has.
const guestGitHubHost = "10.0.2.100"

// Accelerators, as QEMU calls them.
const (
	KVM = "kvm"
	TCG = "tcg" // software emulation
)

// maxDir is how long the name of the engine's folder may be: a socket's whole name has 107 characters (unix(7)), and in the
// folder it is a VMID of up to nine digits with its suffix.
const maxDir = 107 - len("/999999999.qga")

// Options say what the machines are like.
type Options struct {
	// Image is every machine's but those made of an imported image and their clones: the templates that a stand-in cluster
	// begins with have no disks of their own. What an imported image boots with, and how much memory, is Image's too.
	Image Image
	// GitHub is the host:port behind GuestGitHubURL; "" leaves guests without any network service.
	GitHub string
	// Netdev is the machines' network as QEMU's -netdev says it, with the id net0, in the place of the one that reaches
	// GitHub and nothing else; "" for that.
	Netdev string
	// Accel is KVM or TCG; "" tries KVM with a bounded boot of the image's kernel (8 s where it hangs).
	Accel string
	// Dir is the folder to make the engine's folder in; "" is the system's for temporary files. Sockets are in it, so
	// its name must be shorter than 70 characters.
	Dir string
	// Logger takes a line for each machine that starts or ends, at debug; nil discards.
	Logger *slog.Logger
}

// Engine is a [pve.Engine] of QEMU processes. Its zero value is not usable; make it with [New] and end it with
// [Engine.Close].
type Engine struct {
	opts   Options
	dir    string
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // everything that waits for a process or a connection

	mu     sync.Mutex // guards what follows; never held over a wait
	closed bool
	on     map[int]*machine
	disks  map[int]*disk
}

// New makes an engine without machines. ctx bounds the trial of KVM only.
func New(ctx context.Context, o Options) (*Engine, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	for _, program := range []string{qemuProgram, "qemu-img"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("start QEMU engine: %w; install it (sh test/guest/packages.sh)", err)
		}
	}
	if o.Accel == "" {
		o.Accel = ProbeAccel(ctx, o.Image)
	}
	dir, err := os.MkdirTemp(o.Dir, "mayfly-qemu-")
	if err != nil {
		return nil, fmt.Errorf("start QEMU engine: %w", err)
	}
	if len(dir) > maxDir {
		_ = os.Remove(dir)
		return nil, fmt.Errorf("start QEMU engine: %s is longer than the %d characters that leave room for a socket's name; set TMPDIR to a shorter folder", dir, maxDir)
	}
	e := &Engine{opts: o, dir: dir, on: map[int]*machine{}, disks: map[int]*disk{}}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e, nil
}

// Accel is the accelerator in use.
func (e *Engine) Accel() string { return e.opts.Accel }

// Close cuts the power of every machine, waits for their processes and removes all disks. Machines can't be started
// afterwards, and no Exited is called.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	for _, m := range e.on {
		m.kill()
	}
	e.mu.Unlock()
	e.cancel()
	e.wg.Wait()
	if err := os.RemoveAll(e.dir); err != nil {
		return fmt.Errorf("close QEMU engine: %w", err)
	}
	return nil
}

// Start implements [pve.Engine]. The machine has the image's memory and one processor, whatever its configuration
// says: the host of a test is not the cluster it plays.
func (e *Engine) Start(ctx context.Context, pm pve.Machine) error {
	if !e.has(pm.VMID) { // a VM that nobody cloned boots from the same image
		if err := e.Clone(ctx, 0, pm.VMID, false, func(string) {}); err != nil {
			return err
		}
	}
	m := newMachine(e, pm)
	e.mu.Lock()
	switch {
	case e.closed:
		e.mu.Unlock()
		return errors.New("start failed: QEMU exited with code 1")
	case e.on[pm.VMID] != nil:
		e.mu.Unlock()
		return fmt.Errorf("VM %d already running", pm.VMID)
	}
	e.on[pm.VMID] = m
	e.wg.Add(1) // before the lock is let go, so that Close waits for it
	e.mu.Unlock()
	go func() {
		defer e.wg.Done()
		m.live()
	}()
	return m.untilUp(ctx)
}

// Stop implements [pve.Engine]: SIGKILL.
func (e *Engine) Stop(ctx context.Context, vmid int) error {
	m := e.machine(vmid)
	if m == nil {
		return nil
	}
	m.kill()
	select {
	case <-m.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop VM %d: %w", vmid, ctx.Err())
	}
}

// Shutdown implements [pve.Engine] as Proxmox does: by the guest agent where the VM has one (option agent), else by
// the power button. (qemu-server, QemuServer.pm, vm_stop.)
func (e *Engine) Shutdown(_ context.Context, vmid int) error {
	m := e.machine(vmid)
	if m == nil {
		return nil
	}
	if !agentEnabled(m.Config["agent"]) {
		return m.press()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.wg.Go(func() {
		ctx, cancel := context.WithTimeout(e.ctx, shutdownPatience)
		defer cancel()
		if _, err := m.agent(ctx, guestShutdown, nil); err != nil {
			e.opts.Logger.Debug("guest didn't take the shutdown", "vmid", vmid, "reason", err)
		}
	})
	return nil
}

// Destroy implements [pve.Engine].
func (e *Engine) Destroy(ctx context.Context, vmid int) error {
	if err := e.Stop(ctx, vmid); err != nil {
		return err
	}
	if err := e.dropDisk(vmid); err != nil {
		return fmt.Errorf("destroy VM %d: %w", vmid, err)
	}
	media, err := filepath.Glob(e.medium(vmid, "*"))
	if err != nil {
		return fmt.Errorf("destroy VM %d: %w", vmid, err)
	}
	for _, file := range append(media, e.seed(vmid)) {
		if err := removeIfThere(file); err != nil {
			return fmt.Errorf("destroy VM %d: %w", vmid, err)
		}
	}
	return nil
}

// Running lists the VMIDs whose machines run, in order.
func (e *Engine) Running() []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []int
	for id := range e.on {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Disks lists the VMIDs that have a disk, in order: after everything was destroyed, none.
func (e *Engine) Disks() []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []int
	for id := range e.disks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// consoleTail is how much of a console Console gives.
const consoleTail = 8 << 10

// Console gives the end of what the VM's machine last wrote to its serial console; "" when it never ran.
func (e *Engine) Console(vmid int) string {
	text, err := os.ReadFile(e.file(vmid, "console"))
	if err != nil {
		return ""
	}
	return string(text[max(0, len(text)-consoleTail):])
}

func (e *Engine) machine(vmid int) *machine {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.on[vmid]
}

func (e *Engine) has(vmid int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.disks[vmid] != nil
}

// forget takes a machine whose process has ended out of those that run.
func (e *Engine) forget(m *machine) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.on[m.VMID] == m {
		delete(e.on, m.VMID)
	}
}

// seed is the VM's cloud-init drive.
func (e *Engine) seed(vmid int) string { return e.file(vmid, "iso") }

func (e *Engine) file(vmid int, suffix string) string {
	return filepath.Join(e.dir, strconv.Itoa(vmid)+"."+suffix)
}
