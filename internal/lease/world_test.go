package lease_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mayfly/internal/lease"
	"mayfly/internal/proxmox"
)

// file is the cluster's file of directory mappings, with one mapping and the rest of it.
type file struct {
	mu     sync.Mutex
	absent bool
	text   string
	rest   int // counts changes of other mappings
}

func (f *file) digest() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%t %s %d", f.absent, f.text, f.rest))
	return hex.EncodeToString(sum[:])
}

// edit is somebody else's change.
func (f *file) edit(change func(*file)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *file) read() (proxmox.DirMapping, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.absent {
		return proxmox.DirMapping{}, &proxmox.Error{Kind: proxmox.NotFound, Message: "not found"}
	}
	return proxmox.DirMapping{Description: f.text, Map: []string{"node=unused,path=/x"}, Digest: f.digest()}, nil
}

func (f *file) create(m proxmox.DirMapping) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.absent {
		return &proxmox.Error{Kind: proxmox.Exists, Message: "already defined"}
	}
	f.absent, f.text = false, m.Description
	return nil
}

func (f *file) write(m proxmox.DirMapping) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case m.Digest != f.digest():
		return &proxmox.Error{Kind: proxmox.Busy, Message: "detected modified configuration", Cause: proxmox.ErrChanged}
	case f.absent:
		return &proxmox.Error{Kind: proxmox.NotFound, Message: "does not exist"}
	case len(m.Map) == 0 || strings.Contains(m.Description, "\n") || len(m.Description) > 4096:
		return &proxmox.Error{Kind: proxmox.BadParameter, Message: "refused"}
	}
	f.text = m.Description
	return nil
}

// link is one process's way to the file, and the process's own clockwork: a frozen one does nothing until it wakes.
type link struct {
	to *file

	mu     sync.Mutex
	random *rand.Rand
	faults bool // replies get lost, writes land late, calls hang
	// lostWrites loses the reply of every write.
	lostWrites bool
	frozen     time.Time
	dead       bool
	calls      int
}

var errDead = errors.New("the process is dead")

// awake waits until the process isn't frozen.
func (l *link) awake() {
	for {
		l.mu.Lock()
		d := time.Until(l.frozen)
		l.mu.Unlock()
		if d <= 0 {
			return
		}
		time.Sleep(d)
	}
}

// fate draws how a call goes: how long until it has its effect, how long the reply takes, and whether that arrives.
func (l *link) fate() (there, back time.Duration, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	there = time.Duration(l.random.Int64N(int64(20 * time.Millisecond)))
	back = time.Duration(l.random.Int64N(int64(20 * time.Millisecond)))
	if !l.faults {
		return there, back, false
	}
	switch l.random.IntN(10) {
	case 0:
		there = time.Duration(l.random.Int64N(int64(25 * time.Second))) // as while a node dies, or worse
	case 1:
		back = time.Duration(l.random.Int64N(int64(10 * time.Second)))
	case 2, 3:
		lost = true
	}
	return there, back, lost
}

// do makes a call: what was sent is carried out, whatever becomes of whoever sent it.
func do[T any](ctx context.Context, l *link, changes bool, effect func() (T, error)) (T, error) {
	var none T
	l.awake()
	l.mu.Lock()
	dead := l.dead
	l.mu.Unlock()
	if dead {
		return none, errDead
	}
	type reply struct {
		value T
		err   error
	}
	there, back, lost := l.fate()
	replies := make(chan reply, 1)
	go func() {
		time.Sleep(there)
		v, err := effect()
		time.Sleep(back)
		if lost || changes && l.losesWrites() {
			v, err = none, unknown(changes)
		}
		replies <- reply{v, err}
	}()
	select {
	case r := <-replies:
		l.awake()
		return r.value, r.err
	case <-ctx.Done():
		l.awake()
		return none, unknown(changes)
	}
}

func (l *link) losesWrites() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lostWrites
}

func unknown(changes bool) error {
	if changes {
		return &proxmox.Error{Kind: proxmox.MaybeHappened, Message: "no reply"}
	}
	return &proxmox.Error{Kind: proxmox.Unavailable, Message: "no reply"}
}

func (l *link) DirMapping(ctx context.Context, _ string) (proxmox.DirMapping, error) {
	return do(ctx, l, false, l.to.read)
}

func (l *link) CreateDirMapping(ctx context.Context, _ string, m proxmox.DirMapping) error {
	_, err := do(ctx, l, true, func() (struct{}, error) { return struct{}{}, l.to.create(m) })
	return err
}

func (l *link) SetDirMapping(ctx context.Context, _ string, m proxmox.DirMapping) error {
	_, err := do(ctx, l, true, func() (struct{}, error) { return struct{}{}, l.to.write(m) })
	return err
}

// admissions are the mutations that were let through, in their order.
type admissions struct {
	mu   sync.Mutex
	list []admission
}

type admission struct {
	at   time.Time
	term *lease.Term
	who  string
}

func (a *admissions) all() []admission {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.list)
}

// last is when a mutation was let through last, and whose.
func (a *admissions) last() admission {
	list := a.all()
	if len(list) == 0 {
		return admission{}
	}
	return list[len(list)-1]
}

// overlap finds two terms that were at work at the same time: one comes back after another one's first mutation.
func overlap(list []admission) string {
	over := map[*lease.Term]admission{}
	for i, a := range list {
		if by, done := over[a.term]; done {
			return fmt.Sprintf("%s changes something at %s, though %s did at %s", a.who, a.at.Format(time.StampMilli), by.who, by.at.Format(time.StampMilli))
		}
		if i > 0 && list[i-1].term != a.term {
			over[list[i-1].term] = a
		}
	}
	return ""
}

// contender is one process that wants the lease and changes something all the time while it has it.
type contender struct {
	*link
	name   string
	keeper *lease.Keeper
	stop   context.CancelFunc
	ended  chan struct{}
	err    error
}

const installation = "ep"

// contend starts a process.
func contend(t testing.TB, f *file, to *admissions, name string, seed uint64, change func(*lease.Options)) *contender {
	l := &link{to: f, random: rand.New(rand.NewPCG(seed, 1))}
	o := lease.Options{Store: l, Mapping: "m", Installation: installation, Process: name, Name: "host-" + name}
	if change != nil {
		change(&o)
	}
	k, err := lease.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &contender{link: l, name: name, keeper: k, stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		for ctx.Err() == nil && c.err == nil {
			c.err = k.Hold(ctx, func(ctx context.Context, term *lease.Term) error {
				c.work(ctx, term, to)
				return nil
			})
		}
	}()
	return c
}

// work changes something every 100 ms.
func (c *contender) work(ctx context.Context, term *lease.Term, to *admissions) {
	rt := term.Guard(transport(func(req *http.Request) (*http.Response, error) {
		to.mu.Lock()
		defer to.mu.Unlock()
		to.list = append(to.list, admission{time.Now(), term, c.name})
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: req}, nil
	}))
	for {
		c.awake()
		c.mu.Lock()
		dead := c.dead
		c.mu.Unlock()
		if dead {
			return
		}
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "https://pve1/", http.NoBody)
		if err != nil {
			panic(err)
		}
		if resp, err := rt.RoundTrip(req); err == nil {
			_ = resp.Body.Close()
		}
		select {
		case <-ctx.Done():
			return
		case <-term.Lost():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// transport is one of one function.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// freeze stops the process for a while, as SIGSTOP does.
func (c *contender) freeze(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = time.Now().Add(d)
}

// kill is kill -9: nothing of it goes on, its calls in flight do.
func (c *contender) kill() {
	c.mu.Lock()
	c.dead = true
	c.mu.Unlock()
	c.stop()
	<-c.ended
}

func (c *contender) flaky(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = on
}
