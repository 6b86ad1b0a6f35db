package proxmox

import (
	"context"
	"errors"
	"net/http"
	"time"

	"mayfly/internal/runner"
)

// Node is a member of the cluster.
type Node struct {
	Name string
	// Status is "online", "offline" or "unknown": seen 8 s after the fact, with figures up to 10 s old.
	Status string
	// What follows is shown only with Sys.Audit on the node, else 0.
	MaxCPU      int
	MaxMem, Mem runner.Bytes
	Uptime      time.Duration
}

// Nodes reads GET /nodes. It is never refused: every valid token sees that there are nodes.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) {
	const op = "list nodes"
	var list []wireResource
	if err := c.do(ctx, call{op: op, method: http.MethodGet, path: "/nodes", limit: local}, &list); err != nil {
		return nil, err
	}
	out := make([]Node, 0, len(list))
	for _, w := range list {
		if w.Node == "" {
			return nil, unreadable(op, errors.New("a node without a name"))
		}
		r := w.resource()
		out = append(out, Node{Name: r.Node, Status: r.Status, MaxCPU: int(r.MaxCPU), MaxMem: r.MaxMem, Mem: r.Mem, Uptime: r.Uptime})
	}
	return out, nil
}
