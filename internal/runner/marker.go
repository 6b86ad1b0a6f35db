package runner

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// markerPrefix begins the line of a VM's description that holds the marker.
const markerPrefix = "mayfly-marker:"

// ErrNoMarker says that a description holds no marker at all: the VM is somebody else's.
var ErrNoMarker = errors.New("no Mayfly marker")

// installationForm keeps an installation usable as a Proxmox tag (pve-tag: [a-z0-9_][a-z0-9_\-+.]*).
var installationForm = regexp.MustCompile(`^[a-z0-9_][a-z0-9_.-]{0,62}$`)

// processForm is what a process's id may be, of this version or a later one.
var processForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// CheckInstallation returns an error that tells the accepted form when id can't name an installation.
func CheckInstallation(id string) error {
	if !installationForm.MatchString(id) {
		return fmt.Errorf("installation %q: want 1 to 63 lower-case letters, digits, '_', '-' and '.'", id)
	}
	return nil
}

// Marker is the note in a VM's description that says whose it is. It holds no secret: Proxmox writes descriptions
// to its cluster log.
type Marker struct {
	Installation string    `json:"installation"`
	Runner       string    `json:"runner"`
	VMID         int       `json:"vmid"`
	Pool         string    `json:"pool"`
	Created      time.Time `json:"created"`
	Version      string    `json:"version"`
	// Template is the VMID that the VM was cloned from; 0 where the marker was written before that was noted.
	Template int `json:"template,omitempty"`
	// Process is the dispatcher's process that made the VM; zero where the marker was written before that was noted.
	Process Process `json:"process,omitzero"`
	// Shape is a key for all that the configuration gave the VM (fleet, shape.go); "" where the marker was written before
	// that was noted.
	Shape string `json:"shape,omitempty"`
	// Ends is set before a registration is removed of which nobody knows whether the VM has its identity: such a VM never
	// gets another, whatever becomes of the process that is about to destroy it.
	Ends bool `json:"ends,omitempty"`
}

// Description renders the marker as the text of a VM's notes: a line for people and a line for Mayfly. It is far
// below Proxmox's limit of 8192 characters.
func (m Marker) Description() string {
	m.Created = m.Created.UTC().Truncate(time.Millisecond)
	return fmt.Sprintf("One-job GitHub Actions runner of pool %s, made and destroyed by Mayfly. Editing these notes makes Mayfly leave the VM alone.\n\n%s",
		m.Pool, writeNote(markerPrefix, m))
}

// ParseMarker reads the marker out of a VM's description. It returns [ErrNoMarker] when there is none and another
// error when there is something that only looks like one.
func ParseMarker(description string) (Marker, error) {
	var m Marker
	switch found, err := readNote(description, markerPrefix, &m); {
	case err != nil:
		return Marker{}, fmt.Errorf("marker: %w", err)
	case !found:
		return Marker{}, ErrNoMarker
	}
	switch {
	case CheckInstallation(m.Installation) != nil:
		return Marker{}, fmt.Errorf("marker: %w", CheckInstallation(m.Installation))
	case !IsName(m.Runner):
		return Marker{}, fmt.Errorf("marker: runner %q is not a runner name", m.Runner)
	case m.VMID <= 0:
		return Marker{}, fmt.Errorf("marker: vmid %d is not a VMID", m.VMID)
	case m.Created.IsZero():
		return Marker{}, errors.New("marker: no creation time")
	case !m.Process.IsZero() && !processForm.MatchString(m.Process.ID):
		return Marker{}, fmt.Errorf("marker: process %q is not the id of a process", m.Process.ID)
	case !m.Process.IsZero() && !plausible(m.Process.Started):
		return Marker{}, errors.New("marker: its process has no start time")
	}
	return m, nil
}
