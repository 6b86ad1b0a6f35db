package proxmox

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// MoveContainerVolume gives a volume of a stopped container, such as "mp0", to another container of the same node, under
// the same key, and returns the task (POST …/move_volume with target-vmid; pve-container API2/LXC.pm, move_volume). No
// byte is copied: the volume is renamed. It takes VM.Config.Disk on both and Datastore.AllocateSpace on its storage. The
// root file system can't be moved, nor what a snapshot holds.
func (c *Client) MoveContainerVolume(ctx context.Context, node string, vmid int, volume string, target int) (UPID, error) {
	return c.task(ctx, call{
		op:     fmt.Sprintf("move %s of container %d to %d on %s", volume, vmid, target, node),
		method: http.MethodPost, path: containerPath(node, vmid, "move_volume"), limit: change,
		params: url.Values{"volume": {volume}, "target-vmid": {strconv.Itoa(target)}},
	})
}
