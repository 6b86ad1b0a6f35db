package pve

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// lockTable is a node's lock files, one for each VMID: flock on /var/lock/qemu-server/lock-<vmid>.conf. They are the
// node's own; other nodes don't see them.
type lockTable struct {
	mu    sync.Mutex
	locks map[int]*flock
}

type flock struct {
	exclusive bool
	shared    int
	changed   chan struct{} // closed at the next release
}

func newLockTable() *lockTable { return &lockTable{locks: map[int]*flock{}} }

// try takes the lock if it is free, else it returns what to wait for.
func (t *lockTable) try(vmid int, shared bool) (ok bool, wait <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.locks[vmid]
	if f == nil {
		f = &flock{changed: make(chan struct{})}
		t.locks[vmid] = f
	}
	if f.exclusive || f.shared > 0 && !shared {
		return false, f.changed
	}
	if shared {
		f.shared++
	} else {
		f.exclusive = true
	}
	return true, nil
}

func (t *lockTable) release(vmid int, shared bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.locks[vmid]
	if shared {
		f.shared--
	} else {
		f.exclusive = false
	}
	close(f.changed)
	f.changed = make(chan struct{})
	if !f.exclusive && f.shared == 0 {
		delete(t.locks, vmid)
	}
}

// acquire waits for the lock up to timeout. say gets the lines that Proxmox prints while it waits (nil: nobody). The
// release function is to be called once.
func (t *lockTable) acquire(ctx context.Context, vmid int, shared bool, timeout time.Duration, say func(string)) (func(), error) {
	ok, wait := t.try(vmid, shared)
	if !ok {
		if say != nil {
			say("trying to acquire lock...")
		}
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		for !ok {
			select {
			case <-wait:
				ok, wait = t.try(vmid, shared)
			case <-timer.C:
				return nil, failf("can't lock file '/var/lock/qemu-server/lock-%d.conf' - got timeout", vmid)
			case <-ctx.Done():
				return nil, fmt.Errorf("wait for lock of VM %d: %w", vmid, context.Cause(ctx))
			}
		}
		if say != nil {
			say(" OK")
		}
	}
	var once sync.Once
	return func() { once.Do(func() { t.release(vmid, shared) }) }, nil
}

// pause waits for d or until ctx ends, and then gives the cause; it never holds a mutex.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
