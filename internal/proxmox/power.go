package proxmox

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Start starts a VM (VM.PowerMgmt) and returns the task. Nearly all failures, a missing VM among them, show only in
// the task; of a VM that runs already it is Exists.
func (c *Client) Start(ctx context.Context, node string, vmid int) (UPID, error) {
	return c.power(ctx, "start", node, vmid, nil)
}

// Stop pulls the plug (VM.PowerMgmt) and returns the task, ending shutdowns of ours that still wait: one of them
// would hold the VM's lock. Stopping a stopped VM succeeds.
func (c *Client) Stop(ctx context.Context, node string, vmid int) (UPID, error) {
	return c.power(ctx, "stop", node, vmid, url.Values{"overrule-shutdown": {"1"}})
}

// Shutdown asks the guest to power off, through its agent where that answers, else by ACPI (VM.PowerMgmt), and
// returns the task. The task fails when the guest still runs after the timeout (whole seconds; 0 is Proxmox's
// default of a minute), and holds the VM's lock until then.
func (c *Client) Shutdown(ctx context.Context, node string, vmid int, timeout time.Duration) (UPID, error) {
	params := url.Values{}
	if timeout > 0 {
		seconds := int64((timeout + time.Second - 1) / time.Second)
		params.Set("timeout", strconv.FormatInt(seconds, 10))
	}
	return c.power(ctx, "shutdown", node, vmid, params)
}

func (c *Client) power(ctx context.Context, what, node string, vmid int, params url.Values) (UPID, error) {
	return c.task(ctx, call{
		op:     fmt.Sprintf("%s VM %d on %s", what, vmid, node),
		method: http.MethodPost, path: vmPath(node, vmid, "status/"+what), params: params, limit: change,
	})
}

// Delete destroys a stopped VM with its disks (VM.Allocate) and returns the task. Disks that can't be removed make
// the task end with "WARNINGS: n", which counts as success: the VM is gone.
func (c *Client) Delete(ctx context.Context, node string, vmid int) (UPID, error) {
	return c.task(ctx, call{
		op: fmt.Sprintf("destroy VM %d on %s", vmid, node), method: http.MethodDelete, path: vmPath(node, vmid, ""), limit: change,
	})
}
