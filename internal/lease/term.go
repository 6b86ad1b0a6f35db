package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mayfly/internal/proxmox"
)

// Term is one time of holding the lease, without a gap. When it is over it stays so: whoever works on begins anew with
// another term, and nothing that was made for this one is let through again.
type Term struct {
	keeper *Keeper
	term   uint64
	lost   chan struct{}

	// Of keep alone:
	beat  uint64      // the last that was tried
	tried []time.Time // when the writes of the beats up to that one were begun, the last ones

	mu    sync.Mutex
	since time.Time // when the last write was begun that is known to have been done
	why   string    // it is over; "" while it isn't
}

// Lost is closed when the lease is this process's no more.
func (t *Term) Lost() <-chan struct{} { return t.lost }

// Valid returns nil while this process may change something, else a *[NotHeldError].
func (t *Term) Valid() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.why != "":
		return &NotHeldError{t.why}
	case t.left() <= 0:
		return &NotHeldError{fmt.Sprintf("it could not be renewed for %s", ago(t.since).Round(time.Millisecond))}
	}
	return nil
}

// left is how long the lease may still be used.
func (t *Term) left() time.Duration {
	ttl := t.keeper.o.TTL
	return ttl - ttl/marginParts - ago(t.since)
}

// ago is how long ago that was, by the monotonic clock, or by the wall clock where that says longer: the former stands still
// while the machine sleeps. A wall clock that is put forward ends the lease early, which is safe.
func ago(t time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(t), now.Round(0).Sub(t.Round(0)))
}

func (t *Term) record(beat uint64, state string) record {
	o := t.keeper.o
	return record{o.Installation, o.Process, o.Name, t.term, beat, o.TTL, state}
}

// confirm notes that a write that was begun then is done.
func (t *Term) confirm(begun time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if begun.After(t.since) {
		t.since = begun
	}
}

// end ends the term; the first reason stays.
func (t *Term) end(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.why == "" {
		t.why = why
		close(t.lost)
	}
}

// keep renews until work is done or the lease is lost.
func (t *Term) keep(worked <-chan struct{}) {
	timer := time.NewTimer(t.keeper.o.TTL / renewParts)
	defer timer.Stop()
	for {
		select {
		case <-worked:
			return
		case <-timer.C:
		}
		err := t.renew()
		if over := t.Valid(); over != nil {
			t.end(over.Error())
			t.keeper.see(Status{Reason: "standby: " + over.Error()})
			t.keeper.log.Warn("lease lost", "term", t.term, "reason", over, "cause", err)
			return
		}
		wait := t.keeper.o.TTL / renewParts
		if err != nil {
			t.keeper.log.Warn("lease not renewed", "term", t.term, "reason", err)
			wait = min(wait, retryPause)
		}
		t.mu.Lock()
		wait = max(min(wait, t.left()), 0)
		t.mu.Unlock()
		timer.Reset(wait)
	}
}

// beatsKept is how many of the last writes may still show up.
const beatsKept = 16

// renew reads the record and writes it anew with another beat. What it reads tells which of the writes whose replies were
// lost were done; that another mapping was changed in between only costs another round.
func (t *Term) renew() error {
	k := t.keeper
	t.mu.Lock()
	left := t.left()
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), max(left, 0))
	defer cancel()
	for {
		m, err := k.o.Store.DirMapping(ctx, k.o.Mapping)
		switch {
		case errors.Is(err, proxmox.NotFound):
			t.end("somebody has deleted the directory mapping " + k.o.Mapping)
			return err
		case err != nil:
			return err
		}
		if err := t.mine(m.Description); err != nil {
			t.end(err.Error())
			return err
		}
		t.beat++
		t.tried = append(t.tried[max(0, len(t.tried)-beatsKept+1):], time.Now())
		begun := t.tried[len(t.tried)-1]
		err = k.o.Store.SetDirMapping(ctx, k.o.Mapping, proxmox.DirMapping{Map: m.Map, Digest: m.Digest, Description: t.record(t.beat, stateHeld).String()})
		if err == nil {
			t.confirm(begun)
			k.see(Status{Held: true, Holder: k.o.Process, Name: k.o.Name, Term: t.term})
		}
		if !errors.Is(err, proxmox.ErrChanged) || !sleep(ctx, retryPause/10) {
			return err
		}
	}
}

// mine returns an error unless the description is of this term, and takes up which of its writes it shows.
func (t *Term) mine(text string) error {
	rec, err := parseRecord(text)
	switch {
	case err != nil:
		return errors.New("somebody has edited the directory mapping " + t.keeper.o.Mapping)
	case rec.holder != t.keeper.o.Process || rec.term != t.term || rec.state != stateHeld:
		return fmt.Errorf("process %s on %s has it (term %d)", rec.holder, rec.name, rec.term)
	}
	// tried ends with t.beat; the term's first write is confirmed already.
	if back := t.beat - rec.beat; rec.beat <= t.beat && back < uint64(len(t.tried)) {
		t.confirm(t.tried[uint64(len(t.tried))-1-back])
	}
	return nil
}

// release gives the lease back, unless it is lost: another process may take it at once.
func (t *Term) release(ctx context.Context) {
	if t.Valid() != nil {
		return
	}
	t.end("it was given back")
	k := t.keeper
	ctx, cancel := context.WithTimeout(ctx, releaseLimit)
	defer cancel()
	var err error
	for try := true; try; try = sleep(ctx, retryPause/10) {
		var m proxmox.DirMapping
		if m, err = k.o.Store.DirMapping(ctx, k.o.Mapping); err != nil {
			continue
		}
		rec, perr := parseRecord(m.Description)
		if perr != nil || rec.holder != k.o.Process || rec.term != t.term || rec.state != stateHeld {
			break
		}
		m.Description = t.record(t.beat+1, stateReleased).String()
		if err = k.o.Store.SetDirMapping(ctx, k.o.Mapping, m); err == nil {
			break
		}
	}
	k.see(Status{Reason: "standby: the lease was given back"})
	if err != nil {
		k.log.Warn("lease not given back", "term", t.term, "reason", err, "free_after", k.o.TTL)
		return
	}
	k.log.Info("lease given back", "term", t.term)
}
