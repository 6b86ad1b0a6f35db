package world

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"mayfly/internal/sim/pve"
)

// machine is one run of a VM, from power-on to power-off. A VM that is started again is another machine.
type machine struct {
	pve.Machine
	g         *Guests
	behaviour Behaviour
	disk      *disk
	boot      time.Duration
	log       *slog.Logger

	ctx     context.Context // ends when the power goes
	power   context.CancelFunc
	button  chan struct{} // holds a token when somebody inside or outside wants the machine off
	agentUp chan struct{} // closed when the agent answers
	off     chan struct{} // closed when nothing of the machine runs
	agent   *agent
	once    once
	wg      sync.WaitGroup // what runs inside

	mu      sync.Mutex
	media   map[string][]byte // what is in its CD-ROM drives now
	host    string            // its host name, when cloud-init gave it one
	stopped bool              // by Stop or Close: then nobody is told that it powered off
	closing bool              // nothing more may begin inside
	crashed bool              // without an orderly shutdown
}

func newMachine(g *Guests, pm pve.Machine, behaviour Behaviour, d *disk, start int) *machine {
	m := &machine{
		Machine: pm, g: g, behaviour: behaviour, disk: d, boot: jitter(g.opts.Boot, g.opts.Seed, pm.VMID, start),
		log:    g.opts.Logger.With("vmid", pm.VMID, "runner", pm.Name),
		button: make(chan struct{}, 1), agentUp: make(chan struct{}), off: make(chan struct{}),
	}
	if behaviour == SlowBoot {
		m.boot += slowBoot
	}
	if m.media = maps.Clone(pm.Media); m.media == nil {
		m.media = map[string][]byte{}
	}
	m.ctx, m.power = context.WithCancel(context.Background())
	d.remove("/run") // a tmpfs
	d.mkdir("/run")
	m.agent = newAgent(m)
	return m
}

// live is the machine's whole life.
func (m *machine) live() {
	defer close(m.off)
	defer m.g.gone(m)
	m.log.Debug("machine on", "behaviour", m.behaviour.String())
	if sleep(m.ctx, m.boot) {
		m.wg.Go(m.agentComesUp)
		m.wg.Go(m.cloudInit)
		select {
		case <-m.button:
			if !m.hasCrashed() {
				sleep(m.ctx, m.g.opts.Shutdown)
			}
		case <-m.ctx.Done():
		}
	}
	m.power()
	m.mu.Lock()
	m.closing = true
	m.mu.Unlock()
	m.wg.Wait()
	m.log.Debug("machine off")
	if !m.wasStopped() && m.Exited != nil {
		m.Exited()
	}
}

// agentComesUp makes the agent answer, where the VM has one (option agent) and it works.
func (m *machine) agentComesUp() {
	if m.behaviour != MuteAgent && sleep(m.ctx, m.g.opts.AgentDelay) {
		m.log.Debug("agent answers")
		close(m.agentUp)
	}
}

// cutPower ends the machine at once.
func (m *machine) cutPower() {
	m.mu.Lock()
	m.stopped = true
	m.mu.Unlock()
	m.power()
}

// pressButton asks for an orderly shutdown. One that is still booting remembers it.
func (m *machine) pressButton() {
	select {
	case m.button <- struct{}{}:
	default: // it is on its way already
	}
}

// crash is the end of a guest whose kernel or host process died.
func (m *machine) crash() {
	m.mu.Lock()
	m.crashed = true
	m.mu.Unlock()
	m.pressButton()
}

// begin runs something inside the machine; false when it is going off already.
func (m *machine) begin(fn func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closing {
		return false
	}
	m.wg.Go(fn)
	return true
}

func (m *machine) wasStopped() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopped
}

func (m *machine) hasCrashed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.crashed
}

// sleep waits; false means that ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
