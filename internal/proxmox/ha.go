package proxmox

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// AddContainerToHA lets Proxmox's HA manager keep a container running (POST /cluster/ha/resources: Sys.Console on "/").
// On its node's death it moves only with its disk on shared storage, or replicated.
func (c *Client) AddContainerToHA(ctx context.Context, vmid int) error {
	return c.do(ctx, call{
		op: fmt.Sprintf("add container %d to HA", vmid), method: http.MethodPost, path: "/cluster/ha/resources", limit: change,
		params: url.Values{"sid": {"ct:" + strconv.Itoa(vmid)}, "state": {"started"}},
	}, nil)
}

// RemoveContainerFromHA leaves a container to itself, in the state that it is in (DELETE /cluster/ha/resources/{sid}:
// Sys.Console on "/"). While HA has it, it is started again when somebody stops it, and can't be destroyed.
func (c *Client) RemoveContainerFromHA(ctx context.Context, vmid int) error {
	return c.do(ctx, call{
		op: fmt.Sprintf("remove container %d from HA", vmid), method: http.MethodDelete,
		path: "/cluster/ha/resources/" + url.PathEscape("ct:"+strconv.Itoa(vmid)), limit: change,
	}, nil)
}
