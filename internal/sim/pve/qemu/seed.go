package qemu

import (
	"fmt"
	"os"
	"strings"

	"github.com/kdomanski/iso9660"

	"mayfly/internal/sim/pve"
)

// seedLabel is the volume label by which cloud-init's NoCloud data source knows a seed.
const seedLabel = "cidata"

// writeSeed writes a cloud-init drive as Proxmox does: an ISO image with NoCloud's files (qemu-server
// PVE/QemuServer/Cloudinit.pm, generate_nocloud). Only the owner reads it: it may hold an identity.
func writeSeed(path string, ci *pve.CloudInit) (err error) {
	w, err := iso9660.NewWriter() // in a temporary folder of mode 0700
	if err != nil {
		return fmt.Errorf("write cloud-init drive: %w", err)
	}
	defer func() {
		if gone := w.Cleanup(); err == nil && gone != nil {
			err = fmt.Errorf("write cloud-init drive: %w", gone)
		}
	}()
	for name, text := range map[string]string{
		"user-data": ci.UserData, "meta-data": ci.MetaData, "network-config": ci.NetworkConfig, "vendor-data": ci.VendorData,
	} {
		if err := w.AddFile(strings.NewReader(text), name); err != nil {
			return fmt.Errorf("write cloud-init drive: %s: %w", name, err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write cloud-init drive: %w", err)
	}
	if err := w.WriteTo(f, seedLabel); err != nil {
		_ = f.Close()
		return fmt.Errorf("write cloud-init drive: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write cloud-init drive: %w", err)
	}
	return nil
}
