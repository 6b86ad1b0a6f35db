package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// RootDisk is the disk that a VM of that config boots from, and its size; "" where there is none, or none of a known size.
func RootDisk(cfg proxmox.VMConfig) (option string, size runner.Bytes) {
	disk := func(option string) bool {
		storage, rest, isVolume := strings.Cut(cfg.Values[option], ":")
		return isDisk(option) && isVolume && storage != "none" && !strings.Contains(rest, "media=cdrom") &&
			!strings.HasPrefix(option, "efidisk") && !strings.HasPrefix(option, "tpmstate")
	}
	// qemu-server: PVE/QemuServer.pm, "boot" (order=scsi0;net0) and, of before, "bootdisk".
	order, _ := strings.CutPrefix(cfg.Values["boot"], "order=")
	candidates := slices.Concat(strings.Split(order, ";"), []string{cfg.Values["bootdisk"]}, sortedKeys(cfg.Values))
	at := slices.IndexFunc(candidates, disk)
	if at < 0 {
		return "", 0
	}
	option = candidates[at]
	if size = proxmox.DriveSize(cfg.Values[option]); size == 0 {
		return "", 0
	}
	return option, size
}

// DiskProblem says why a pool's runners can't have the disk that it asks for; "" when they can. They are made all the
// same, with the template's.
func DiskProblem(pool runner.Pool, vmid int, cfg proxmox.VMConfig) string {
	if pool.Disk == 0 {
		return ""
	}
	const wants = "pool %s wants a disk of %s, and template %s (VM %d) has "
	option, size := RootDisk(cfg)
	switch {
	case option == "":
		return fmt.Sprintf(wants+"none of a known size that could grow; its runners keep what there is", pool.Name, pool.Disk, cfg.Name, vmid)
	case size > pool.Disk:
		return fmt.Sprintf(wants+"%s: disks don't shrink, so its runners have that; take disk out of the pool, or set more", pool.Name, pool.Disk, cfg.Name, vmid, size)
	}
	return ""
}

// grow gives the clone's disk the size that its pool asks for, and returns the config as it is then. The VM has never
// been started: its guest finds a larger disk when it boots, and grows its file system.
func (c *Controller) grow(ctx context.Context, a action, cfg proxmox.VMConfig) (proxmox.VMConfig, error) {
	option, size := RootDisk(cfg)
	if option == "" || a.pool.Disk <= size {
		return cfg, nil
	}
	err := c.order(ctx, a, typeResize, func(ctx context.Context, node string, vmid int) (proxmox.UPID, error) {
		return c.pve.Resize(ctx, node, vmid, option, a.pool.Disk)
	})
	if err != nil {
		return cfg, fmt.Errorf("runner %s: grow disk %s of VM %d from %s to %s: %w", a.name, option, a.vmid, size, a.pool.Disk, err)
	}
	return cfg.With(map[string]string{option: resized(cfg.Values[option], a.pool.Disk)}), nil
}

// typeResize is the type of Proxmox's task.
const typeResize = "resize"

// resized is a drive's value with another size.
func resized(drive string, size runner.Bytes) string {
	options := strings.Split(drive, ",")
	for i, o := range options {
		if strings.HasPrefix(o, "size=") {
			options[i] = fmt.Sprintf("size=%dM", (size+runner.MiB-1)/runner.MiB)
		}
	}
	return strings.Join(options, ",")
}

// diskWarnings lists the pools whose runners can't have the disk that they ask for, and says each once in the log.
func (c *Controller) diskWarnings(s *Status) []string {
	var list []string
	for _, pool := range c.spec.Pools {
		t, _ := choose(pool, &c.seen, c.ledger, s.At)
		if t.id == 0 {
			continue
		}
		words := DiskProblem(pool, t.id, t.cfg)
		if words == "" {
			continue
		}
		list = append(list, words)
		if !c.saidOnce[words] {
			c.saidOnce[words] = true
			c.log.Warn("disk not as configured", "pool", pool.Name, "vmid", t.id, "reason", words)
		}
	}
	return list
}
