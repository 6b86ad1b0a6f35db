package qemu

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// drives are the arguments for the CD-ROM drives that hold an uploaded image, at the places that Proxmox gives them on a
// machine of type pc (qemu-server QemuServer.pm, print_drivedevice_full).
func (m *machine) drives() []string {
	var args []string
	for _, drive := range slices.Sorted(maps.Keys(m.Media)) {
		bus := strings.TrimRight(drive, "0123456789")
		n, _ := strconv.Atoi(drive[len(bus):])
		device := fmt.Sprintf("ide-cd,bus=ide.%d,unit=%d", n/2, n%2)
		if bus != "ide" { // every other bus is SCSI to the guest
			args = append(args, "-device", "virtio-scsi-pci,id=hw-"+drive)
			device = "scsi-cd,bus=hw-" + drive + ".0"
		}
		args = append(args, "-drive", "if=none,id=drive-"+drive+",media=cdrom,format=raw,readonly=on,file="+escape(m.e.medium(m.VMID, drive)),
			"-device", device+",id="+drive+",drive=drive-"+drive)
	}
	return args
}

// ChangeMedium implements [pve.MediumChanger]. Only ejecting is done: what Mayfly puts in, it puts in before the start.
func (e *Engine) ChangeMedium(_ context.Context, vmid int, drive string, image []byte) error {
	m := e.machine(vmid)
	if m == nil || m.Media[drive] == nil {
		return nil
	}
	if image != nil {
		return fmt.Errorf("change medium of VM %d: %s: this engine only ejects", vmid, drive)
	}
	if err := m.monitor.execute("eject", map[string]any{"id": drive, "force": true}); err != nil {
		return fmt.Errorf("eject %s of VM %d: %w", drive, vmid, err)
	}
	if err := os.Remove(e.medium(vmid, drive)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("eject %s of VM %d: %w", drive, vmid, err)
	}
	return nil
}

// medium is the file of an uploaded image in a VM's drive.
func (e *Engine) medium(vmid int, drive string) string { return e.file(vmid, drive+".medium") }
