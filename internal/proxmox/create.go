package proxmox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"mayfly/internal/runner"
)

// NextID reads GET /cluster/nextid: the lowest VMID that no guest has. Every valid token may, and nothing is reserved:
// by the time it is used somebody else may have it.
func (c *Client) NextID(ctx context.Context) (int, error) {
	const op = "find a free VMID"
	var free integer
	if err := c.do(ctx, call{op: op, method: http.MethodGet, path: "/cluster/nextid", limit: local}, &free); err != nil {
		return 0, err
	}
	if free <= 0 {
		return 0, unreadable(op, errors.New("it names no VMID"))
	}
	return int(free), nil
}

// NewVM are the parameters of a VM's creation.
type NewVM struct {
	VMID int
	// Pool is the resource pool that the VM joins as its creation's very last step. Tags are checked before that, on the
	// VM itself: a token whose privileges come from the resource pool leaves "tags" out of Options and sets them with
	// [Client.SetConfig] afterwards, else the task fails.
	Pool string
	// Options are configuration options ("name", "memory", "scsi0", "net0", …). Disks are made by "STORAGE:GIB"; a copy of
	// an image that was uploaded or downloaded as content "import" by "STORAGE:0,import-from=STORAGE:import/FILE.qcow2",
	// which takes Proxmox VE 8.4 (OVA files: 8.3). Proxmox writes the values to its cluster log: no secrets.
	Options map[string]string
}

// CreateVM starts POST /nodes/{node}/qemu and returns the task, of type qmcreate: the VM is there, unlocked and in its
// resource pool, when that ended well, and gone when it ended badly. It takes VM.Allocate on the VMID or on the resource
// pool, the options' own privileges there, Datastore.AllocateSpace for new disks, Datastore.Audit for what is imported or
// put into a CD-ROM drive, and SDN.Use on the bridges. A VMID that is taken is Exists, the task's error in a race.
func (c *Client) CreateVM(ctx context.Context, node string, vm NewVM) (UPID, error) {
	form := url.Values{"vmid": {strconv.Itoa(vm.VMID)}}
	for key, value := range vm.Options {
		form.Set(key, value)
	}
	if vm.Pool != "" {
		form.Set("pool", vm.Pool)
	}
	return c.task(ctx, call{
		op: fmt.Sprintf("create VM %d on %s", vm.VMID, node), method: http.MethodPost, path: nodePath(node, "qemu"), params: form, limit: change,
	})
}

// Resize starts PUT /nodes/{node}/qemu/{vmid}/resize (VM.Config.Disk, Datastore.AllocateSpace on the disk's storage) and
// returns the task, of type resize. disk is a drive option ("scsi0"). Proxmox doesn't shrink disks: the task fails. The
// size is sent in whole MiB, rounded up.
func (c *Client) Resize(ctx context.Context, node string, vmid int, disk string, size runner.Bytes) (UPID, error) {
	mib := (size + runner.MiB - 1) / runner.MiB
	return c.task(ctx, call{
		op:     fmt.Sprintf("resize %s of VM %d on %s", disk, vmid, node),
		method: http.MethodPut, path: vmPath(node, vmid, "resize"), limit: change,
		params: url.Values{"disk": {disk}, "size": {strconv.FormatInt(int64(mib), 10) + "M"}},
	})
}

// MakeTemplate starts POST /nodes/{node}/qemu/{vmid}/template (VM.Allocate) and returns the task, of type qmtemplate. The
// VM must be stopped and can never be started again; its disks become the base of linked clones, where their storage
// has such. Options like description and tags can still be changed.
func (c *Client) MakeTemplate(ctx context.Context, node string, vmid int) (UPID, error) {
	return c.task(ctx, call{
		op:     fmt.Sprintf("make a template of VM %d on %s", vmid, node),
		method: http.MethodPost, path: vmPath(node, vmid, "template"), limit: change,
	})
}
