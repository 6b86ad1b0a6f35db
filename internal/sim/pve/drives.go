package pve

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// cloudinitSize is that of a cloud-init drive (qemu-server QemuServer/Cloudinit.pm: 4 MiB).
const cloudinitSize = 4 * runner.MiB

// checkDrives refuses what Proxmox refuses about drive options before it asks who may.
func (s *Server) checkDrives(ch *change) *apiError {
	for _, opt := range slices.Sorted(maps.Keys(ch.set)) {
		if !isDrive(opt) {
			continue
		}
		d := parseDrive(opt, ch.set[opt])
		_, name, _ := strings.Cut(d.file, ":")
		if strings.HasPrefix(d.fields["import-from"], "/") {
			return failf("Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.")
		}
		if d.fields["import-from"] != "" {
			if m := newDiskForm.FindStringSubmatch(d.file); len(m) != 3 || m[2] != "0" {
				return badParam(opt, "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>")
			}
		}
		if strings.HasPrefix(name, "iso/") && !d.cdrom() {
			return badParam(opt, "explicit 'media=cdrom' is required for iso images")
		}
		if !d.cloudinit() {
			continue
		}
		if v := s.vms[ch.vmid]; v != nil {
			for _, other := range slices.Sorted(maps.Keys(v.conf)) {
				if other != opt && isDrive(other) && parseDrive(other, v.conf[other]).cloudinit() && !slices.Contains(ch.delete, other) {
					return failf("%s - cloud-init drive is already attached at '%s'", opt, other)
				}
			}
		}
	}
	return nil
}

// newCloudInitDrive makes a VM's cloud-init drive and returns its volid.
func (s *Server) newCloudInitDrive(node string, vmid int, storage string) string {
	st := s.storageByID(storage)
	volid := s.diskName(node, st, vmid, "cloudinit")
	s.volumes[s.key(node, volid)] = &volume{
		vmid: vmid, content: "images", format: st.format(), size: cloudinitSize, used: cloudinitSize, ctime: time.Now(),
	}
	return volid
}

// plugDrive makes or finds the volume that a drive option names and returns the option as it is stored.
func (s *Server) plugDrive(v *vm, opt, value string) (string, *apiError) {
	d := parseDrive(opt, value)
	store := d.storage()
	if store == "" { // "none"
		return value, nil
	}
	st := s.storageByID(store)
	if st == nil {
		return "", failf("storage '%s' does not exist", store)
	}
	fields := maps.Clone(d.fields)
	delete(fields, "file")
	switch {
	case strings.HasSuffix(d.file, ":cloudinit"):
		if !st.holds("images") && !st.files() {
			return "", failf("storage '%s' does not support vm images", store)
		}
		volid := s.diskName(v.node, st, v.id, "cloudinit")
		if s.volumes[s.key(v.node, volid)] != nil {
			return "", failf("disk image '%s' already exists", volid)
		}
		s.newCloudInitDrive(v.node, v.id, store)
		fields["media"] = "cdrom"
		if _, err := s.generateCloudInit(v); err != nil {
			return "", err // the disk stays, as recorded: the next try says that it exists
		}
		return volid + "," + printProps(fields), nil
	case newDiskForm.MatchString(d.file):
		if !st.holds("images") {
			return "", failf("storage '%s' does not support content-type 'images'", store)
		}
		if fields["import-from"] != "" {
			return "", failf("cannot import from '%s' - the stand-in imports when a VM is made, not later", fields["import-from"])
		}
		delete(fields, "format")
		gib, err := strconv.ParseFloat(newDiskForm.FindStringSubmatch(d.file)[2], 64)
		if err != nil {
			return "", failf("unable to parse size of '%s'", d.file)
		}
		size := runner.Bytes(gib * float64(runner.GiB))
		if size > st.total-s.used(v.node, st) {
			return "", failf("not enough space on storage '%s': %s needed", store, size)
		}
		fields["size"] = printSize(size)
		return s.newDisk(v.node, v.id, store, size) + "," + printProps(fields), nil
	}
	vol := s.volumes[s.key(v.node, d.file)]
	if vol == nil {
		return "", failf("volume '%s' does not exist", d.file)
	}
	if fields["size"] == "" && (vol.content == "iso" || vol.content == "images") {
		fields["size"] = fmt.Sprintf("%dK", vol.size/runner.KiB)
	}
	return strings.TrimSuffix(d.file+","+printProps(fields), ","), nil
}
