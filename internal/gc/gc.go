package gc

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// MinGrace is the least grace: a dispatcher's clone may take 15 minutes, and what follows until it is started some more
// (fleet.DefaultTiming), in which its VM is powered off and looks as if nobody wanted it.
const MinGrace = 30 * time.Minute

// DefaultGrace is the grace when nobody says one.
const DefaultGrace = time.Hour

// confirm is how long something that GitHub shows as offline must stay so: an identity that has just been given to a
// spare is offline until its listener has come up, whatever the age of its VM.
const confirm = 90 * time.Second

// stepTimeout bounds the removal of one thing: a stop, which waits for the guest, and a destroy.
const stepTimeout = 10 * time.Minute

// Proxmox is all that is asked of a Proxmox client.
type Proxmox interface {
	fleet.Inventory
	fleet.Power
	fleet.Disks
	WaitTask(ctx context.Context, upid proxmox.UPID) error
}

// Guests asks a guest how far it is; handoff.Agent does.
type Guests interface {
	Probe(ctx context.Context, vm handoff.VM) (handoff.Guest, error)
}

// Files are where a hand-off keeps user-data; handoff.ISO and handoff.Snippet are two.
type Files interface {
	Files(ctx context.Context) ([]handoff.File, error)
	Remove(ctx context.Context, f handoff.File) error
}

// Options is what a collector is made of.
type Options struct {
	Spec    fleet.Spec
	Proxmox Proxmox
	GitHub  fleet.Registrar
	Guests  Guests
	// Files are looked through in this order; none where identities come through the agent alone.
	Files []Files
	// Logger gets one line for each thing that is removed; nil discards.
	Logger *slog.Logger
}

// Request says what to do.
type Request struct {
	DryRun bool
	// Grace is how old a thing must be; 0 is DefaultGrace, less than MinGrace is an error.
	Grace time.Duration
}

// Kind is what was found.
type Kind string

// The kinds.
const (
	VM           Kind = "vm"
	Registration Kind = "registration"
	UserData     Kind = "user-data"
	Disk         Kind = "disk"
	// Rogue is a registration that isn't ours and takes our jobs or our names. It is only reported.
	Rogue Kind = "rogue"
)

// Outcome is what became of it.
type Outcome string

// The outcomes.
const (
	Removed     Outcome = "removed"
	WouldRemove Outcome = "would_remove"
	Kept        Outcome = "kept"   // it may be in use
	Left        Outcome = "left"   // only a person can remove it
	Shown       Outcome = "shown"  // it isn't ours
	Failed      Outcome = "failed" // it should go, and didn't
)

// Finding is a thing that is worth a word, and what became of it.
type Finding struct {
	Kind    Kind      `json:"kind"`
	Name    string    `json:"name"`
	VMID    int       `json:"vmid,omitempty"`
	Node    string    `json:"node,omitempty"`
	Target  string    `json:"target,omitempty"`
	Since   time.Time `json:"since,omitzero"` // it is there
	Why     string    `json:"why"`
	Outcome Outcome   `json:"outcome"`
	Detail  string    `json:"detail,omitempty"` // of the outcome: the error, the reason, the command to type
}

// Collector cleans up. Make one with [New].
type Collector struct {
	o Options
}

// New makes a collector. It does no I/O.
func New(o Options) *Collector {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Collector{o}
}

// run is one clean-up.
type run struct {
	*Collector
	Request
	at       time.Time
	findings []Finding
	problems map[runner.Target]error // targets whose registrations can't be read
	regs     map[runner.Target][]runner.Registration
	vms      []vm
	nodes    []string // that are online
}

// Run cleans up once and tells what it found, in the order in which it looked. An error is what kept it from looking;
// what is in the findings was done all the same.
func (c *Collector) Run(ctx context.Context, r Request) ([]Finding, error) {
	if r.Grace == 0 {
		r.Grace = DefaultGrace
	}
	if r.Grace < MinGrace {
		return nil, fmt.Errorf("grace %s: want %s or more, since a runner that is being made looks like one that nobody wants", r.Grace, MinGrace)
	}
	g := &run{Collector: c, Request: r, at: time.Now()}
	g.readGitHub(ctx)
	if err := g.readProxmox(ctx); err != nil {
		return g.findings, err
	}
	for _, step := range []func(context.Context) error{g.cleanVMs, g.cleanRegistrations, g.cleanFiles, g.cleanDisks} {
		if err := step(ctx); err != nil {
			return g.findings, err
		}
	}
	g.showRogues()
	return g.findings, g.unread()
}

// remove does away with a thing, or in a dry run says that it would.
func (g *run) remove(ctx context.Context, f Finding, do func(ctx context.Context) (Outcome, string)) {
	if g.DryRun {
		f.Outcome = WouldRemove
		g.findings = append(g.findings, f)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	f.Outcome, f.Detail = do(ctx)
	if f.Outcome == Removed {
		g.o.Logger.Info("gc removed", "kind", f.Kind, "name", f.Name, "vmid", f.VMID, "node", f.Node, "reason", f.Why)
	}
	g.findings = append(g.findings, f)
}

func (g *run) tell(f Finding) { g.findings = append(g.findings, f) }

// old reports whether something from then is past the grace. What is from the future is the work of a clock that is off.
func (g *run) old(from time.Time) bool { return !from.IsZero() && g.at.Sub(from) >= g.Grace }

// wait waits until GitHub has had the time to confirm something, or ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
