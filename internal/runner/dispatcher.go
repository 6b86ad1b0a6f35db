package runner

import (
	"errors"
	"fmt"
	"time"
)

// dispatcherPrefix begins the line of a container's description that says that it is a dispatcher.
const dispatcherPrefix = "mayfly-dispatcher:"

// DispatcherMarker is the note in the description of the container that an installation's dispatcher lives in. It holds
// no secret: Proxmox writes descriptions to its cluster log.
type DispatcherMarker struct {
	Installation string    `json:"installation"`
	VMID         int       `json:"vmid"`
	Created      time.Time `json:"created"`
	Version      string    `json:"version"`
	// Contents tells what the container was made of from anything else: a salted hash, as secrets are part of it.
	Contents string `json:"contents"`
}

// Description renders the marker as the text of a container's notes.
func (m DispatcherMarker) Description() string {
	m.Created = m.Created.UTC().Truncate(time.Second)
	return fmt.Sprintf("Mayfly's dispatcher of installation %s. Upgrade it with mayfly bootstrap; editing these notes makes Mayfly leave the container alone.\n\n%s",
		m.Installation, writeNote(dispatcherPrefix, m))
}

// ParseDispatcherMarker reads the marker out of a container's description. It returns [ErrNoMarker] when there is none
// and another error when there is something that only looks like one.
func ParseDispatcherMarker(description string) (DispatcherMarker, error) {
	var m DispatcherMarker
	switch found, err := readNote(description, dispatcherPrefix, &m); {
	case err != nil:
		return DispatcherMarker{}, fmt.Errorf("marker: %w", err)
	case !found:
		return DispatcherMarker{}, ErrNoMarker
	}
	switch {
	case CheckInstallation(m.Installation) != nil:
		return DispatcherMarker{}, fmt.Errorf("marker: %w", CheckInstallation(m.Installation))
	case m.VMID <= 0:
		return DispatcherMarker{}, fmt.Errorf("marker: vmid %d is not a VMID", m.VMID)
	case !plausible(m.Created):
		return DispatcherMarker{}, errors.New("marker: no creation time")
	}
	return m, nil
}
