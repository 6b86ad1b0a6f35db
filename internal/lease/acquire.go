package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/proxmox"
)

// watch is how long this process has seen the same text, by its own monotonic clock. What was read in between doesn't
// matter, nor that nothing could be read: a record's text never comes back.
type watch struct {
	text  string
	since time.Time // right after the reply that first showed it
	ttl   time.Duration
}

// acquire waits until this process has the lease; no term and no error mean that ctx ended first.
func (k *Keeper) acquire(ctx context.Context) (*Term, error) {
	var w watch
	said := ""
	for {
		m, rec, err := k.look(ctx)
		wait := k.poll()
		switch {
		case ctx.Err() != nil:
			return nil, nil //nolint:nilerr // no lease and no error: the caller was told to end
		case err != nil && !k.answered && hopeless(err):
			return nil, err
		case err != nil:
			s := k.Status()
			s.Held, s.Error, s.Reason = false, err.Error(), "standby: "+err.Error()
			k.see(s)
			said = k.say(said, s.Reason)
		case rec.state == "":
			k.lay(ctx, m)
			wait = min(wait, retryPause)
		default:
			k.answered = true
			if m.Description != w.text || w.since.IsZero() {
				// What somebody wrote over a record may hide one with a longer ttl, so that the longest ever seen counts.
				w = watch{m.Description, time.Now(), max(k.o.TTL, rec.ttl, w.ttl)}
			}
			why, left := k.judge(rec, w)
			if left <= 0 {
				if t := k.take(ctx, m, why); t != nil {
					return t, nil
				}
				wait = min(wait, retryPause)
				break
			}
			s := Status{Term: rec.term, Reason: "standby: " + why}
			if rec.state == stateHeld {
				s.Holder, s.Name = rec.holder, rec.name
			}
			k.see(s)
			said = k.say(said, "standby: "+why)
			wait = min(wait, left)
		}
		if !sleep(ctx, wait) {
			return nil, nil
		}
	}
}

// look reads the mapping and makes one where there is none.
func (k *Keeper) look(ctx context.Context) (proxmox.DirMapping, record, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	m, err := k.o.Store.DirMapping(ctx, k.o.Mapping)
	if errors.Is(err, proxmox.NotFound) {
		err = k.o.Store.CreateDirMapping(ctx, k.o.Mapping, proxmox.DirMapping{Map: []string{unusedMap}, Description: k.blank()})
		switch {
		case errors.Is(err, proxmox.Permission):
			return m, record{}, fmt.Errorf("lease: directory mapping %s doesn't exist, and the token may not make it; on a node run %s: %w", k.o.Mapping, CreateCommand(k.o.Mapping), err)
		case err != nil && !errors.Is(err, proxmox.Exists):
			return m, record{}, fmt.Errorf("lease: %w", err)
		}
		m, err = k.o.Store.DirMapping(ctx, k.o.Mapping)
	}
	switch {
	case errors.Is(err, proxmox.Permission):
		return m, record{}, fmt.Errorf("lease: the token needs Mapping.Modify on /mapping/dir/%s: %w", k.o.Mapping, err)
	case err != nil:
		return m, record{}, fmt.Errorf("lease: %w", err)
	}
	rec, err := parseRecord(m.Description)
	if err == nil && rec.installation != k.o.Installation {
		return m, rec, &strangerError{mapping: k.o.Mapping, theirs: rec.installation, ours: k.o.Installation}
	}
	k.term = max(k.term, rec.term)
	return m, rec, nil // what is no record has no state
}

// blank is a new record, whose text nobody has ever written.
func (k *Keeper) blank() string {
	k.blanks++
	return record{k.o.Installation, k.o.Process, k.o.Name, k.term, k.blanks, k.o.TTL, stateNew}.String()
}

// lay overwrites what is no record. It is for whoever looks next to judge the new one.
func (k *Keeper) lay(ctx context.Context, m proxmox.DirMapping) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	m.Description = k.blank()
	if err := k.o.Store.SetDirMapping(ctx, k.o.Mapping, m); err != nil {
		k.log.Debug("new lease not written", "reason", err)
		return
	}
	k.log.Info("new lease written", "reason", "the directory mapping had none")
}

// unusedMap is what a mapping has to have at least: a directory of a node that there isn't, so that it is nowhere looked
// for and no guest can use it.
const unusedMap = "node=unused,path=/mayfly-lease"

// CreateCommand makes the mapping, on a node.
func CreateCommand(mapping string) string {
	return "pvesh create /cluster/mapping/dir --id " + mapping + " --map " + unusedMap
}

// strangerError says that the mapping is another installation's lease.
type strangerError struct{ mapping, theirs, ours string }

func (e *strangerError) Error() string {
	return fmt.Sprintf("lease: directory mapping %s is the lease of installation %s, not of %s; give each installation a lease.mapping of its own", e.mapping, e.theirs, e.ours)
}

// hopeless reports whether no waiting can mend it.
func hopeless(err error) bool {
	var other *strangerError
	return errors.As(err, &other) || errors.Is(err, proxmox.Permission) || errors.Is(err, proxmox.Unauthorized) ||
		errors.Is(err, proxmox.BadParameter) || errors.Is(err, proxmox.Untrusted)
}

// judge says how long the lease is still somebody else's (0 or less: it may be taken), and why.
func (k *Keeper) judge(rec record, w watch) (why string, left time.Duration) {
	left = w.ttl - time.Since(w.since)
	switch {
	case rec.state == stateReleased:
		return "process " + rec.holder + " on " + rec.name + " has given it back", 0
	case rec.state == stateHeld && rec.holder == k.o.Process:
		// Written by a call of ours whose reply was lost, or before we let it lapse: nobody else can be at work on it.
		return "it is this process's own", 0
	case rec.state == stateNew && left > 0:
		return fmt.Sprintf("nobody holds the lease; this one takes it when that has stayed so for %s", w.ttl), left
	case rec.state == stateNew:
		return "nobody has held it for " + w.ttl.String(), left
	case left > 0:
		return fmt.Sprintf("process %s on %s holds the lease (term %d); this one takes over when it has not renewed it for %s", rec.holder, rec.name, rec.term, w.ttl), left
	}
	return fmt.Sprintf("process %s on %s has not renewed it for %s", rec.holder, rec.name, w.ttl), left
}

// take writes this process into the record that was read. A write whose fate is unknown shows at the next look.
func (k *Keeper) take(ctx context.Context, m proxmox.DirMapping, why string) *Term {
	k.term++
	t := &Term{keeper: k, term: k.term, beat: 1, lost: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit) // a write that was begun is better known
	defer cancel()
	asked := time.Now()
	err := k.o.Store.SetDirMapping(ctx, k.o.Mapping, proxmox.DirMapping{Map: m.Map, Digest: m.Digest, Description: t.record(t.beat, stateHeld).String()})
	if err != nil {
		k.log.Debug("lease not taken", "reason", err)
		return nil
	}
	t.confirm(asked)
	if err := t.Valid(); err != nil {
		return nil // the reply took too long; the next look finds the record to be our own
	}
	k.see(Status{Held: true, Holder: k.o.Process, Name: k.o.Name, Term: t.term})
	k.log.Info("lease taken", "term", t.term, "ttl", k.o.TTL, "reason", why)
	return t
}

// say logs why this process stands by, once for each reason.
func (k *Keeper) say(last, words string) string {
	if words != last {
		k.log.Info("stands by", "reason", words)
	}
	return words
}

// sleep waits, and reports false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
