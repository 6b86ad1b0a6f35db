package world

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/kdomanski/iso9660"

	"mayfly/internal/sim/pve"
)

// seedLabel is the volume label by which cloud-init knows a medium (DataSourceNoCloud.py).
const seedLabel = "cidata"

// ChangeMedium implements [pve.MediumChanger].
func (g *Guests) ChangeMedium(_ context.Context, vmid int, drive string, image []byte) error {
	m := g.machine(vmid)
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.media[drive]; !there && image == nil {
		return nil
	}
	m.media[drive] = image
	m.log.Debug("medium changed", "drive", drive, "bytes", len(image))
	return nil
}

// nocloud is the seed that cloud-init finds: Proxmox's own cloud-init drive, else the first medium with the label that is
// in a drive at this moment; nil when there is none.
func (m *machine) nocloud() *pve.CloudInit {
	if m.CloudInit != nil {
		return m.CloudInit
	}
	m.mu.Lock()
	media := maps.Clone(m.media)
	m.mu.Unlock()
	for _, drive := range slices.Sorted(maps.Keys(media)) {
		if media[drive] == nil {
			continue
		}
		seed, err := readSeed(media[drive])
		if err != nil {
			m.log.Debug("medium can't be read", "drive", drive, "reason", err)
			continue
		}
		if seed != nil {
			return seed
		}
	}
	return nil
}

// readSeed reads a NoCloud medium; nil when it is some other.
func readSeed(image []byte) (*pve.CloudInit, error) {
	im, err := iso9660.OpenImage(bytes.NewReader(image))
	if err != nil {
		return nil, fmt.Errorf("read medium: %w", err)
	}
	label, err := im.Label()
	if err != nil || !strings.EqualFold(strings.TrimRight(label, " \x00"), seedLabel) {
		return nil, err
	}
	root, err := im.RootDir()
	if err != nil {
		return nil, fmt.Errorf("read medium: %w", err)
	}
	files, err := root.GetChildren()
	if err != nil {
		return nil, fmt.Errorf("read medium: %w", err)
	}
	seed := &pve.CloudInit{}
	for _, f := range files {
		into := map[string]*string{
			"user-data": &seed.UserData, "meta-data": &seed.MetaData, "network-config": &seed.NetworkConfig, "vendor-data": &seed.VendorData,
		}[f.Name()]
		if into == nil {
			continue
		}
		text, err := io.ReadAll(f.Reader())
		if err != nil {
			return nil, fmt.Errorf("read medium: %s: %w", f.Name(), err)
		}
		*into = string(text)
	}
	return seed, nil
}
