package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"mayfly/internal/proxmox"
)

// Store is where the lease is: *proxmox.Client, one of its own that no guard stands before.
type Store interface {
	DirMapping(ctx context.Context, id string) (proxmox.DirMapping, error)
	CreateDirMapping(ctx context.Context, id string, m proxmox.DirMapping) error
	SetDirMapping(ctx context.Context, id string, m proxmox.DirMapping) error
}

// Options say which lease and who wants it; all but TTL, Name and Logger are required.
type Options struct {
	Store Store
	// Mapping is the id of the directory mapping.
	Mapping string
	// Installation is whose lease it is: another installation's is never taken.
	Installation string
	// Process tells this process from all others there ever are, also from its own machine's earlier ones. One word.
	Process string
	// Name is this machine's, for people.
	Name string
	// TTL is how long the lease outlives its holder's last renewal; 0 is DefaultTTL. Where holders differ the longer counts.
	TTL time.Duration
	// Logger gets a line for each change; nil discards.
	Logger *slog.Logger
}

// DefaultTTL lets a holder miss three renewals, of which each may hang for the 7 s that a node's death costs every write
// (facts: a write to /etc/pve hangs until the cluster has noticed).
const DefaultTTL = 30 * time.Second

// MinTTL and MaxTTL bound a ttl: below the one a single write that hangs ends the lease, and beyond the other a typing
// error keeps everybody out for hours.
const (
	MinTTL = 15 * time.Second
	MaxTTL = 10 * time.Minute
)

const (
	// marginParts: the last third of the ttl is the holder's no more. It covers what a request may still take from the
	// check to the wire (a connection: 5 s and 5 s of TLS at most), and clocks of different speed many times over.
	marginParts = 3
	// renewParts: renewals come six times in a ttl.
	renewParts = 6
	// longestPoll is how often one that stands by looks, at least: it is how long an upgrade's hand-over takes.
	longestPoll = 2 * time.Second
	// retryPause is waited after a renewal that went wrong.
	retryPause = 500 * time.Millisecond
	// callLimit bounds one look and one write of those that stand by; the holder's end with its lease.
	callLimit = 15 * time.Second
	// releaseLimit bounds the release: it isn't worth a longer end, after the ttl the lease is free anyway.
	releaseLimit = 5 * time.Second
)

// Keeper wants the lease. Make one with [New].
type Keeper struct {
	o   Options
	log *slog.Logger

	mu     sync.Mutex
	status Status

	// Of Hold alone:
	answered bool   // the store has answered once
	term     uint64 // the highest ever seen: where the record was lost, terms go on all the same
	blanks   uint64 // counts the new records that this process wrote
}

// Status is the lease as this process sees it.
type Status struct {
	// At is when that was; zero before the first look.
	At time.Time `json:"at"`
	// Held says that this process may work.
	Held bool `json:"held"`
	// Holder and Name are the process that holds the lease and its machine, as last read; "" for nobody.
	Holder string `json:"holder,omitempty"`
	Name   string `json:"name,omitempty"`
	Term   uint64 `json:"term,omitempty"`
	// Reason says why this process doesn't work; "" while it does.
	Reason string `json:"reason,omitempty"`
	// Error is why the lease couldn't be read last, Since of when on; "" when it could.
	Error string    `json:"error,omitempty"`
	Since time.Time `json:"since,omitzero"`
}

// New checks the options. It does no I/O.
func New(o Options) (*Keeper, error) {
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	o.Name = nameOf(o.Name)
	switch {
	case o.Store == nil:
		return nil, errors.New("lease: no store")
	case o.Mapping == "" || o.Installation == "" || o.Process == "":
		return nil, fmt.Errorf("lease: mapping %q, installation %q, process %q: want all of them", o.Mapping, o.Installation, o.Process)
	case o.TTL < MinTTL || o.TTL > MaxTTL:
		return nil, fmt.Errorf("lease: ttl %s: want %s to %s", o.TTL, MinTTL, MaxTTL)
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{o: o, log: log.With("mapping", o.Mapping), status: Status{Reason: "standby: the lease is not looked at yet"}}, nil
}

// ErrLost is the cause of what went wrong because the lease was lost.
var ErrLost = errors.New("the lease is lost")

// Hold waits for the lease and works while it has it. work ends early when [Term.Lost] is closed; the lease is renewed
// until it has returned, and given back then. Hold returns what work did, or, when ctx ends before the lease came, nil. An
// error before the first look that no waiting can mend is returned, too: a token without the privilege, another
// installation's lease.
func (k *Keeper) Hold(ctx context.Context, work func(context.Context, *Term) error) error {
	t, err := k.acquire(ctx)
	if err != nil || t == nil {
		return err
	}
	worked := make(chan struct{})
	var kept sync.WaitGroup
	kept.Go(func() { t.keep(worked) })
	err = work(ctx, t)
	close(worked)
	kept.Wait()
	t.release(context.WithoutCancel(ctx))
	return err
}

// Status tells how it stands. It may be called from anywhere.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

// see notes what was read last.
func (k *Keeper) see(s Status) {
	s.At = time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.Error != "" && k.status.Error != "" {
		s.Since = k.status.Since
	} else if s.Error != "" {
		s.Since = s.At
	}
	k.status = s
}

// poll is how often a lease that somebody else has is looked at.
func (k *Keeper) poll() time.Duration { return min(k.o.TTL/renewParts, longestPoll) }
