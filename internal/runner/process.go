package runner

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"time"
)

// Process is one life of a dispatcher: from the start of its program to its end. Every marker names the one that made
// the VM, so that two dispatchers on one installation find each other. Its zero value is a process that doesn't say, of a
// Mayfly from before markers told.
type Process struct {
	// ID is random, made anew at every start.
	ID string `json:"id"`
	// Started is when it began, by its own clock, to the millisecond.
	Started time.Time `json:"started"`
}

// processBytes of randomness make a process's id: it only has to differ from those of some others.
const processBytes = 6

// NewProcess makes the process that began at that time.
func NewProcess(started time.Time) Process {
	id := make([]byte, processBytes)
	_, _ = rand.Read(id) // crypto/rand.Read never fails (Go 1.24)
	return Process{ID: hex.EncodeToString(id), Started: started.UTC().Truncate(time.Millisecond)}
}

// IsZero reports whether nothing is known of the process.
func (p Process) IsZero() bool { return p.ID == "" && p.Started.IsZero() }

// Compare orders processes by their start, then by id, the same everywhere: of two, one is always the earlier. One that
// doesn't say is earlier than all others.
func (p Process) Compare(other Process) int {
	return cmp.Or(p.Started.Compare(other.Started), cmp.Compare(p.ID, other.ID))
}
