package pve

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// volume is a disk image or a file on a storage. Server.mu guards all of them.
type volume struct {
	vmid    int // whose disk it is; 0 for files
	content string
	format  string
	size    runner.Bytes // what a guest or a reader sees
	used    runner.Bytes // what it takes
	parent  string       // the base volume that a linked clone builds on, a volid; "" where nothing remembers it
	ctime   time.Time
	file    *file // what was uploaded or downloaded; nil for one that is only a size
}

// populateStorage puts on each node's storage what an administrator would have: an installer image and a container
// template.
func (s *Server) populateStorage() {
	for node := range s.nodes {
		s.volumes[s.key(node, storageFiles+":iso/debian-12.12.0-amd64-netinst.iso")] = &volume{
			content: "iso", format: "iso", size: 670 * runner.MiB, used: 670 * runner.MiB, ctime: s.start.Add(-240 * time.Hour),
		}
		s.volumes[s.key(node, storageFiles+":vztmpl/debian-12-standard_12.12-1_amd64.tar.zst")] = &volume{
			content: "vztmpl", format: "tzst", size: 124 * runner.MiB, used: 124 * runner.MiB, ctime: s.start.Add(-240 * time.Hour),
		}
	}
}

// diskName is a free name for a VM's next disk: on a directory with a folder and a format, else plain
// (pve-storage Plugin.pm, get_next_vm_diskname).
func (c *cluster) diskName(node string, st *storage, vmid int, suffix string) string {
	for n := 0; ; n++ {
		name := fmt.Sprintf("vm-%d-disk-%d", vmid, n)
		if suffix != "" {
			name = fmt.Sprintf("vm-%d-%s", vmid, suffix)
		}
		volid := st.id + ":" + name
		if st.files() {
			volid = fmt.Sprintf("%s:%d/%s.qcow2", st.id, vmid, name)
		}
		if c.volumes[c.key(node, volid)] == nil || suffix != "" {
			return volid
		}
	}
}

// newDisk makes an empty disk and returns its volid. The caller holds Server.mu and knows the storage.
func (s *Server) newDisk(node string, vmid int, storage string, size runner.Bytes) string {
	st := s.storageByID(storage)
	volid := s.diskName(node, st, vmid, "")
	s.volumes[s.key(node, volid)] = &volume{vmid: vmid, content: "images", format: st.format(), size: size, used: 0, ctime: time.Now()}
	return volid
}

// format is what disks are made in by default.
func (st *storage) format() string {
	if st.files() {
		return "qcow2"
	}
	return "raw"
}

// cloneVolumes makes the disks of a clone: overlays of base volumes, or copies, on storage where one is named. It
// returns the clone's drive options. Cloud-init drives and TPM states are always copied (qemu-server API2/Qemu.pm,
// clone_vm). On an error nothing is left.
func (s *Server) cloneVolumes(src *vm, newid int, full bool, storage string) (map[string]string, *apiError) {
	out := map[string]string{}
	undo := func(err *apiError) (map[string]string, *apiError) {
		s.freeVolumes(&vm{id: newid, node: src.node, conf: out})
		return nil, err
	}
	for _, opt := range slices.Sorted(maps.Keys(src.disks())) {
		d := src.disks()[opt]
		old := s.volumes[s.key(src.node, d.file)]
		if old == nil {
			return undo(failf("volume '%s' does not exist", d.file))
		}
		copied := full || d.cloudinit() || opt == "tpmstate0"
		to := d.storage()
		if copied && storage != "" {
			to = storage
		}
		st := s.storageByID(to)
		suffix := ""
		if d.cloudinit() {
			suffix = "cloudinit"
		}
		volid := s.diskName(src.node, st, newid, suffix)
		made := &volume{vmid: newid, content: "images", format: st.format(), size: old.size, ctime: time.Now()}
		if copied {
			made.used = old.used
		} else if st.namesBase() {
			made.parent = d.file
			_, base, _ := strings.Cut(d.file, ":")
			_, name, _ := strings.Cut(volid, ":")
			volid = st.id + ":" + base + "/" + name
		}
		s.volumes[s.key(src.node, volid)] = made
		fields := maps.Clone(d.fields)
		delete(fields, "file")
		out[opt] = strings.TrimSuffix(volid+","+printProps(fields), ",")
	}
	return out, nil
}

// freeVolumes removes a VM's own disks. Those that are gone already, as after a killed qmdestroy, don't matter.
func (s *Server) freeVolumes(v *vm) {
	for _, d := range v.disks() {
		delete(s.volumes, s.key(v.node, d.file))
	}
	for opt, value := range v.conf {
		if isNumbered(opt, "unused") {
			delete(s.volumes, s.key(v.node, value))
		}
	}
}

var vmDisk = regexp.MustCompile(`(^|/)vm-(\d+-disk-\d+)`)

// makeBase turns a template's disks into base volumes, which linked clones build on.
func (s *Server) makeBase(v *vm) {
	for opt, d := range v.disks() {
		if d.cloudinit() || opt == "tpmstate0" {
			continue
		}
		store, name, _ := strings.Cut(d.file, ":")
		base := store + ":" + vmDisk.ReplaceAllString(name, "${1}base-${2}")
		if base == d.file {
			continue
		}
		s.volumes[s.key(v.node, base)] = s.volumes[s.key(v.node, d.file)]
		delete(s.volumes, s.key(v.node, d.file))
		v.conf[opt] = base + strings.TrimPrefix(v.conf[opt], d.file)
	}
}

// baseInUse refuses to remove a template whose disks have linked clones, where they name it.
func (s *Server) baseInUse(v *vm) *apiError {
	for _, opt := range slices.Sorted(maps.Keys(v.disks())) {
		file := v.disks()[opt].file
		for key, vol := range s.volumes {
			if vol.parent == file && s.reaches(v.node, key) {
				return failf("base volume '%s' is still in use by linked cloned", file)
			}
		}
	}
	return nil
}
