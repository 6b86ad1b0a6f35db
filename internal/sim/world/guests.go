package world

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"mayfly/internal/sim/pve"
)

// GuestOptions say what the guests are like. A zero duration is "at once", except Linger: its zero is the contract's
// 20 s.
type GuestOptions struct {
	// Seed makes the jitter of boot times.
	Seed uint64
	// Boot is the time from power-on to the end of the boot, up to a quarter more or less; AgentDelay is how much
	// later the guest agent answers. Shutdown is how long an orderly power-off takes.
	Boot       time.Duration
	AgentDelay time.Duration
	Shutdown   time.Duration
	// Linger is how long a guest stays up after its listener ended; 0 is 20 s.
	Linger time.Duration
	// Transport carries what guests send to GitHub; nil is one of their own, with a proxy from the environment.
	Transport http.RoundTripper
	// Image is the template's disk: path to content. nil is [Image].
	Image map[string]string
	// RunnerVersion is what the listener says it is; "" is "2.335.1".
	RunnerVersion string
	// Contract is the version of the run-once contract that the guests speak; 0 is the newest. One of contract 1 knows no
	// policy.
	Contract int
	// VersionOf chooses it for each machine, asked at each use; nil is RunnerVersion always. It must not block.
	VersionOf func(pve.Machine) string
	// Behave chooses how a machine behaves, asked at each start; nil is [Normal] always.
	Behave func(pve.Machine) Behaviour
	// Logger takes one line for each change in a guest's life at debug; nil discards.
	Logger *slog.Logger
}

const (
	// defaultLinger is the run-once contract's: GitHub needs the time (actions/runner#4309), and the dispatcher
	// reads the result.
	defaultLinger = 20 * time.Second
	// defaultRunnerVersion is a version that GitHub accepted at the end of 2026.
	defaultRunnerVersion = "2.335.1"
	// newestContract is that of runners/common/run-once.sh.
	newestContract = 2
)

// Guests is a [pve.Engine] whose machines are simulated. Its zero value is not usable; make it with [NewGuests] and end
// it with [Guests.Close].
type Guests struct {
	opts      GuestOptions
	transport http.RoundTripper
	wg        sync.WaitGroup // every goroutine of every machine

	mu     sync.Mutex // guards what follows; never held over a wait
	closed bool
	disks  map[int]*disk
	on     map[int]*machine
	starts map[int]int // how often a VMID was started: the jitter's second seed
}

// NewGuests makes an engine without machines. It starts no goroutine.
func NewGuests(o GuestOptions) *Guests {
	if o.Linger == 0 {
		o.Linger = defaultLinger
	}
	if o.Image == nil {
		o.Image = Image()
	}
	if o.RunnerVersion == "" {
		o.RunnerVersion = defaultRunnerVersion
	}
	if o.VersionOf == nil {
		o.VersionOf = func(pve.Machine) string { return o.RunnerVersion }
	}
	if o.Contract == 0 {
		o.Contract = newestContract
	}
	if o.Behave == nil {
		o.Behave = func(pve.Machine) Behaviour { return Normal }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	transport := o.Transport
	if transport == nil {
		// Guests share no connection: each machine's end would wait for the others'.
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}
	}
	return &Guests{opts: o, transport: transport, disks: map[int]*disk{}, on: map[int]*machine{}, starts: map[int]int{}}
}

// Close cuts the power of every machine and waits until nothing of them runs. Machines can't be started afterwards.
func (g *Guests) Close() {
	g.mu.Lock()
	g.closed = true
	for _, m := range g.on {
		m.cutPower()
	}
	g.mu.Unlock()
	g.wg.Wait()
}

// Clone implements [pve.Engine]: the disk is a copy of the image.
func (g *Guests) Clone(ctx context.Context, template, vmid int, full bool, log func(string)) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("clone disk of VM %d: %w", template, err)
	}
	if full {
		log("transferred 8.0 GiB of 8.0 GiB (100.00%)")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	// A template that was itself a clone passes its own disk on.
	if d := g.disks[template]; d != nil {
		g.disks[vmid] = d.copy()
	} else {
		g.disks[vmid] = newDisk(g.opts.Image)
	}
	return nil
}

// Start implements [pve.Engine].
func (g *Guests) Start(ctx context.Context, pm pve.Machine) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("start failed: %w", err)
	}
	behaviour := g.opts.Behave(pm)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		return fmt.Errorf("start failed: QEMU exited with code 1")
	case g.on[pm.VMID] != nil:
		return fmt.Errorf("VM %d already running", pm.VMID)
	}
	d := g.disks[pm.VMID]
	if d == nil { // a VM that nobody cloned boots from the same image
		d = newDisk(g.opts.Image)
		g.disks[pm.VMID] = d
	}
	g.starts[pm.VMID]++
	m := newMachine(g, pm, behaviour, d, g.starts[pm.VMID])
	g.on[pm.VMID] = m
	g.wg.Go(m.live)
	return nil
}

// Stop implements [pve.Engine]: it cuts the power and waits until the machine's goroutines have ended.
func (g *Guests) Stop(ctx context.Context, vmid int) error {
	m := g.machine(vmid)
	if m == nil {
		return nil
	}
	m.cutPower()
	select {
	case <-m.off:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop VM %d: %w", vmid, ctx.Err())
	}
}

// Shutdown implements [pve.Engine]. A guest that is still booting hears the button when it is up.
func (g *Guests) Shutdown(_ context.Context, vmid int) error {
	if m := g.machine(vmid); m != nil {
		m.pressButton()
	}
	return nil
}

// Destroy implements [pve.Engine].
func (g *Guests) Destroy(ctx context.Context, vmid int) error {
	if err := g.Stop(ctx, vmid); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.disks, vmid)
	return nil
}

// Agent implements [pve.Engine]. A machine that is off, or whose agent never comes up, answers nothing: the call
// returns when ctx ends or the machine does.
func (g *Guests) Agent(ctx context.Context, vmid int, execute string, arguments json.RawMessage) (json.RawMessage, error) {
	m := g.machine(vmid)
	if m == nil {
		<-ctx.Done()
		return nil, fmt.Errorf("guest agent of VM %d: %w", vmid, ctx.Err())
	}
	select {
	case <-m.agentUp:
	case <-m.off:
		return nil, fmt.Errorf("guest agent of VM %d: machine powered off", vmid)
	case <-ctx.Done():
		return nil, fmt.Errorf("guest agent of VM %d: %w", vmid, ctx.Err())
	}
	return m.agent.call(ctx, execute, arguments)
}

// ReadFile gives a file of a VM's disk as it is now, for tests: what a job left. It fails with fs.ErrNotExist.
func (g *Guests) ReadFile(vmid int, path string) (string, error) {
	g.mu.Lock()
	d := g.disks[vmid]
	g.mu.Unlock()
	if d == nil {
		return "", fmt.Errorf("read %s of VM %d: no disk: %w", path, vmid, fs.ErrNotExist)
	}
	text, ok := d.read(path)
	if !ok {
		return "", fmt.Errorf("read %s of VM %d: %w", path, vmid, fs.ErrNotExist)
	}
	return text, nil
}

// Disks lists the VMIDs that have a disk: after everything was destroyed, none.
func (g *Guests) Disks() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := []int{}
	for id := range g.disks {
		ids = append(ids, id)
	}
	return ids
}

func (g *Guests) machine(vmid int) *machine {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.on[vmid]
}

// gone forgets a machine that is off.
func (g *Guests) gone(m *machine) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.on[m.VMID] == m {
		delete(g.on, m.VMID)
	}
}
