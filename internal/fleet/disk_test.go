package fleet

import (
	"testing"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

func TestRootDiskIsWhatTheVMBootsFrom(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values map[string]string
		option string
		size   runner.Bytes
	}{
		{"in the order", map[string]string{"boot": "order=virtio1;net0", "scsi0": "a:x,size=8G", "virtio1": "a:y,size=4G"}, "virtio1", 4 * runner.GiB},
		{"behind what is no disk", map[string]string{"boot": "order=ide2;net0;scsi1", "ide2": "local:x.iso,media=cdrom,size=1G", "scsi0": "a:x,size=8G", "scsi1": "a:y,size=4G"}, "scsi1", 4 * runner.GiB},
		{"as before there was an order", map[string]string{"boot": "cdn", "bootdisk": "scsi1", "scsi0": "a:x,size=8G", "scsi1": "a:y,size=4096M"}, "scsi1", 4 * runner.GiB},
		{"by Proxmox's default", map[string]string{"efidisk0": "a:e,size=4M", "ide2": "none,media=cdrom", "scsi0": "a:x,size=8G", "tpmstate0": "a:t,size=4M"}, "scsi0", 8 * runner.GiB},
		{"of a size that nobody tells", map[string]string{"scsi0": "a:x"}, "", 0},
		{"none", map[string]string{"boot": "order=net0"}, "", 0},
	} {
		if option, size := RootDisk(proxmox.VMConfig{Values: tc.values}); option != tc.option || size != tc.size {
			t.Errorf("%s: %q of %s, want %q of %s", tc.name, option, size, tc.option, tc.size)
		}
	}
}

// TestGrownDiskCounts: what a full clone takes of its storage is what it grows to.
func TestGrownDiskCounts(t *testing.T) {
	at := template{id: 9000, cfg: proxmox.VMConfig{Name: "tmpl", Values: map[string]string{
		"boot": "order=scsi0", "scsi0": "fast:base-9000-disk-0,size=8G", "scsi1": "fast:base-9000-disk-1,size=2G", "memory": "4096",
	}}}
	for _, tc := range []struct {
		disk, want runner.Bytes
		problem    string
	}{
		{want: 10 * runner.GiB},
		{disk: 8 * runner.GiB, want: 10 * runner.GiB},
		{disk: 40 * runner.GiB, want: 42 * runner.GiB},
		{disk: 4 * runner.GiB, want: 10 * runner.GiB, problem: "pool ep wants a disk of 4.0 GiB, and template tmpl (VM 9000) has 8.0 GiB: disks don't shrink, so its runners have that; take disk out of the pool, or set more"},
	} {
		pool := testPool("ep", "linux")
		pool.Disk, pool.FullClone = tc.disk, true
		p := planner{s: testSpec(pool), o: world(), now: noon}
		p.count()
		p.measure()
		c := p.candidate(pool, "pve1", &at)
		if c.want.disk != tc.want || c.needs != tc.want {
			t.Errorf("disk %s: takes %s and needs %s, want %s", tc.disk, c.want.disk, c.needs, tc.want)
		}
		if got := DiskProblem(pool, at.id, at.cfg); got != tc.problem {
			t.Errorf("disk %s: problem %q", tc.disk, got)
		}
	}
}
