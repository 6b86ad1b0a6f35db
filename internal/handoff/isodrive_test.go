package handoff_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"mayfly/internal/handoff"
)

// TestTheMediumGoesWhereItsGuestCanReadIt prepares a VM with each config and looks which drive is set.
func TestTheMediumGoesWhereItsGuestCanReadIt(t *testing.T) {
	for _, tc := range []struct{ name, config, want string }{
		{"nothing there", "name=x scsi0=local-lvm:vm-1-disk-0", "ide2"},
		{"an empty CD-ROM drive", "ide2=none,media=cdrom", "ide2"},
		{"an empty one elsewhere", "ide0=none,media=cdrom scsi0=a:vm-1-disk-0", "ide0"},
		{"an installer in it", "ide2=local:iso/ubuntu.iso,media=cdrom", "ide0"},
		{"Proxmox's cloud-init drive", "ide0=none,media=cdrom ide2=local-lvm:vm-1-cloudinit,media=cdrom", "ide2"},
		{"Proxmox's cloud-init drive on SCSI", "scsi1=local:1/vm-1-cloudinit.qcow2,media=cdrom", "scsi1"},
		{"IDE is full", "ide0=a:d ide1=a:d ide2=a:d ide3=a:d scsi0=a:d scsihw=virtio-scsi-pci", "scsi1"},
		{"q35 with virtio-scsi", "machine=q35 scsihw=virtio-scsi-single scsi0=a:d", "scsi1"},
		{"q35 with virtio-scsi and an empty IDE drive", "machine=pc-q35-9.0 scsihw=virtio-scsi-pci scsi0=a:d ide2=none,media=cdrom", "scsi1"},
		{"q35 with an empty SCSI drive", "machine=q35 scsihw=virtio-scsi-pci scsi2=none,media=cdrom ide2=none,media=cdrom", "scsi2"},
		{"q35 without virtio-scsi", "machine=q35 virtio0=a:d", "ide2"},
	} {
		config := map[string]string{}
		for _, option := range strings.Fields(tc.config) {
			key, value, _ := strings.Cut(option, "=")
			config[key] = value
		}
		s, _ := newISO(t)
		set, err := s.Prepare(t.Context(), isoGuest(config), isoIdentity("ep-0123456789"))
		want := map[string]string{tc.want: "local:iso/mayfly-lab_ep-0123456789.iso,media=cdrom"}
		if err != nil || !maps.Equal(set, want) {
			t.Errorf("%s: %v, %v; want %v", tc.name, set, err, want)
			continue
		}
		maps.Copy(config, set)
		if out := s.Eject(config, "ep-0123456789"); !maps.Equal(out, map[string]string{tc.want: "none,media=cdrom"}) {
			t.Errorf("%s: ejected by %v", tc.name, out)
		}
	}
}

func TestAVMWithoutAPlaceForTheMediumIsRefused(t *testing.T) {
	s, st := newISO(t)
	full := map[string]string{"ide0": "a:d", "ide1": "a:d", "ide2": "a:d", "ide3": "a:d", "scsihw": "lsi"}
	if err := s.CheckVM(full); !errors.Is(err, handoff.ErrImage) || !strings.Contains(err.Error(), "qm set VMID --ide2 none,media=cdrom") {
		t.Error(err)
	}
	if _, err := s.Prepare(t.Context(), isoGuest(full), isoIdentity("ep-0123456789")); !errors.Is(err, handoff.ErrImage) || len(st.files) > 0 {
		t.Errorf("%v, %d files", err, len(st.files))
	}
}

func TestOnlyOurOwnMediaAreEjected(t *testing.T) {
	s, _ := newISO(t)
	for _, value := range []string{
		"none,media=cdrom", "local:iso/ubuntu.iso,media=cdrom", "local:iso/mayfly-lab2_ep-0123456789.iso,media=cdrom",
		"other:iso/mayfly-lab_ep-0123456789.iso,media=cdrom", "local:iso/mayfly-lab_.iso,media=cdrom", "local-lvm:vm-1-cloudinit,media=cdrom",
	} {
		if out := s.Eject(map[string]string{"ide2": value, "description": "local:iso/mayfly-lab_ep-0123456789.iso"}, "ep-0123456789"); out != nil {
			t.Errorf("%s: %v", value, out)
		}
	}
}
