package handoff

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// CheckVM refuses a config, a template's or a VM's, that has no place for the medium.
func (s *ISO) CheckVM(config map[string]string) error {
	_, err := seedDrive(config)
	return err
}

// Eject gives the config options that take a runner's medium out of its drive, none where it isn't in one. It also
// notes which file that is: after a restart only the VM's config tells.
func (s *ISO) Eject(config map[string]string, name string) map[string]string {
	for key, value := range config {
		volume, _, _ := strings.Cut(value, ",")
		storage, file, _ := strings.Cut(volume, ":iso/")
		if !isDrive(key) || storage != s.opts.Storage || !s.file.MatchString(file) {
			continue
		}
		s.mu.Lock()
		s.held[name] = file
		delete(s.empty, file)
		s.mu.Unlock()
		return map[string]string{key: emptyDrive}
	}
	return nil
}

// emptyDrive is a CD-ROM drive without a medium.
const emptyDrive = "none,media=cdrom"

// lastSCSI is the last SCSI drive that a VM can have (qemu-server PVE/QemuServer/Drive.pm, MAX_SCSI_DISKS).
const lastSCSI = 30

// seedDrive chooses the drive for the medium. The template's cloud-init drive comes first: a guest takes the first seed
// that it finds, and must not find Proxmox's. Then an empty CD-ROM drive, then a free place: on a machine of type q35,
// whose IDE is AHCI, that is SCSI where the VM has virtio-scsi, because Debian's cloud kernel has no driver for AHCI.
func seedDrive(config map[string]string) (string, error) {
	keys := slices.Sorted(maps.Keys(config))
	scsi := strings.HasPrefix(config["scsihw"], "virtio-scsi")
	preferSCSI := scsi && strings.Contains(config["machine"], "q35")
	empty := ""
	for _, key := range keys {
		if !isDrive(key) {
			continue
		}
		volume, _, _ := strings.Cut(config[key], ",")
		switch {
		case cloudInitVolume.MatchString(volume):
			return key, nil
		case volume == "none" && (empty == "" || strings.HasPrefix(key, "scsi")):
			empty = key
		}
	}
	if empty != "" && (!preferSCSI || strings.HasPrefix(empty, "scsi")) {
		return empty, nil
	}
	ide := []string{"ide2", "ide0", "ide1", "ide3"} // ide2 is what Proxmox's own pages put CD-ROMs in
	var places []string
	if scsi {
		for n := range lastSCSI + 1 {
			places = append(places, "scsi"+strconv.Itoa(n))
		}
	}
	if preferSCSI {
		places = append(places, ide...)
	} else {
		places = append(ide, places...)
	}
	for _, place := range places {
		if _, taken := config[place]; !taken {
			return place, nil
		}
	}
	return "", fmt.Errorf("%w: the template has no place for a CD-ROM drive; on its node: qm set VMID --ide2 none,media=cdrom", ErrImage)
}
