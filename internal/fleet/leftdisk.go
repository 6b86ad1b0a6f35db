package fleet

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/proxmox"
)

// Disks is what the look for disks that a destroy left asks of a Proxmox client.
type Disks interface {
	Tasks
	Permissions(ctx context.Context) (map[string]map[string]bool, error)
	Storage
	VMIDFree(ctx context.Context, vmid int) (bool, error)
}

// LeftDisk is a disk that the destroy of a VM of ours left on its storage.
type LeftDisk struct {
	Volume string    `json:"volume"` // "local-lvm:vm-205-disk-0"
	VMID   int       `json:"vmid"`
	Node   string    `json:"node"`
	Since  time.Time `json:"since"` // the end of the destroy
	// Unseen says that the token may neither see nor remove it (Datastore.Allocate on its storage): it may be gone by now.
	Unseen bool `json:"unseen,omitempty"`
	// Why says what keeps it, when it couldn't be removed.
	Why string `json:"why,omitempty"`
	// Command removes it, typed as root on the node.
	Command string `json:"command"`
}

// leftLine is what a qmdestroy task says of a disk that it could not free; the VM's config is gone all the same, and the
// task ends with "WARNINGS: n" (qemu-server: QemuServer.pm, destroy_vm).
var leftLine = regexp.MustCompile(`Could not remove disk '([^'\s]+)'`)

// ErrVMIDUsed says that a VM has the VMID of a disk that is to go.
var ErrVMIDUsed = errors.New("a VM has its VMID again")

// leftTasks is how many destroys one look goes through on a node, and leftLines how much of the log of one that had
// warnings.
const (
	leftTasks = 5000
	leftLines = 200
)

// FindLeftDisks finds disks that destroys since then have left on a node. Each is provably ours: a qmdestroy task of our
// own token, on a VMID of our range, said that it could not remove this very volume, which is named after that VMID, and
// the storage still lists it, no younger than the task. A token without Datastore.Allocate sees a disk only while it has
// VM.Config.Disk on its VM (pve-storage: Storage.pm, check_volume_access), so it can't tell: then it is Unseen. Without a token's id nothing is provable, and nothing is found.
func FindLeftDisks(ctx context.Context, pve Disks, s Spec, node string, since time.Time) ([]LeftDisk, error) {
	if s.Token == "" {
		return nil, nil
	}
	tasks, err := pve.Tasks(ctx, node, proxmox.TaskFilter{Since: since, Type: typeDestroy, Source: "all", Limit: leftTasks})
	if err != nil {
		return nil, err
	}
	granted, err := pve.Permissions(ctx)
	if err != nil {
		return nil, err
	}
	listed := map[string][]proxmox.Volume{}
	var found []LeftDisk
	for _, t := range tasks {
		vmid, err := strconv.Atoi(t.ID)
		if err != nil || t.Running || t.UPID.User() != s.Token || !s.VMIDs.Contains(vmid) || !strings.HasPrefix(t.ExitStatus, "WARNINGS") {
			continue
		}
		lines, err := pve.TaskLog(ctx, t.UPID, 0, leftLines)
		if err != nil {
			return found, err
		}
		for _, line := range lines {
			m := leftLine.FindStringSubmatch(line)
			if len(m) < 2 || !diskOf(m[1], vmid) || slices.ContainsFunc(found, func(d LeftDisk) bool { return d.Volume == m[1] }) {
				continue
			}
			d := LeftDisk{Volume: m[1], VMID: vmid, Node: node, Since: t.End, Command: "pvesm free " + m[1]}
			storage, _, _ := strings.Cut(m[1], ":")
			if !proxmox.Holds(granted, "/storage/"+storage, "Datastore.Allocate") {
				d.Unseen = true
				found = append(found, d)
				continue
			}
			if _, done := listed[storage]; !done {
				if listed[storage], err = pve.Volumes(ctx, node, storage, "images"); err != nil {
					return found, err
				}
			}
			i := slices.IndexFunc(listed[storage], func(v proxmox.Volume) bool { return v.ID == m[1] })
			if i < 0 || listed[storage][i].Created.After(t.End.Add(taskSlack)) { // gone, or another VM's by now
				continue
			}
			found = append(found, d)
		}
	}
	return found, nil
}

// diskOf reports whether a volume is named after the VMID: "local-lvm:vm-205-disk-0", "local:205/vm-205-disk-0.qcow2", or
// behind the base of a linked clone, "local:9000/base-9000-disk-0.qcow2/205/vm-205-disk-0.qcow2".
func diskOf(volume string, vmid int) bool {
	_, path, ok := strings.Cut(volume, ":")
	name := path[strings.LastIndexByte(path, '/')+1:]
	return ok && strings.HasPrefix(name, fmt.Sprintf("vm-%d-", vmid))
}

// RemoveLeftDisk asks for the removal of a disk and returns the task. It does so only while no VM has the VMID, since a new
// one could name the disk.
func RemoveLeftDisk(ctx context.Context, pve Disks, d LeftDisk) (proxmox.UPID, error) {
	free, err := pve.VMIDFree(ctx, d.VMID)
	if err != nil {
		return "", fmt.Errorf("remove disk %s: see whether VMID %d is free: %w", d.Volume, d.VMID, err)
	}
	if !free {
		return "", fmt.Errorf("remove disk %s: %w; it is tried again when that is gone", d.Volume, ErrVMIDUsed)
	}
	upid, err := pve.DeleteVolume(ctx, d.Node, d.Volume)
	if err != nil {
		return "", fmt.Errorf("remove disk %s: %w", d.Volume, err)
	}
	return upid, nil
}
