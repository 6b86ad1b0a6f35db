package proxmox_test

import (
	"testing"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

func TestDriveSizes(t *testing.T) {
	for drive, want := range map[string]runner.Bytes{
		"local-lvm:vm-201-disk-0,size=8G": 8 * runner.GiB, "local:201/a.qcow2,discard=on,size=512M,ssd=1": 512 * runner.MiB,
		"size=4K": 4 * runner.KiB, "size=2T": 2048 * runner.GiB, "size=1024": 1024, "local:iso/x.iso,media=cdrom": 0, "size=": 0, "": 0,
	} {
		if got := proxmox.DriveSize(drive); got != want {
			t.Errorf("%q: %d bytes, want %d", drive, got, want)
		}
	}
}
