package proxmox

import (
	"context"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"
)

// callsPerNode bounds our calls in flight to one node: three daemon workers serve everybody there, each one call at a
// time (pve-manager PVE/Service/pvedaemon.pm, max_workers).
const callsPerNode = 3

// gate lets at most callsPerNode calls through to each node at once; the others wait their turn. Calls that name no
// node share a place of their own, and so do a node's uploads.
type gate struct {
	mu    sync.Mutex
	nodes map[string]*semaphore.Weighted
}

func newGate() *gate { return &gate{nodes: map[string]*semaphore.Weighted{}} }

// enter waits for a place on the node that the call is for, as long as ctx lets it. leave gives it back.
func (g *gate) enter(ctx context.Context, r call) (leave func(), err error) {
	at := nodeOf(r.path)
	if r.upload != nil {
		at += " uploads" // pveproxy receives them beside its other work, no daemon's worker waits
	}
	place := g.place(at)
	if err := place.Acquire(ctx, 1); err != nil {
		return nil, &Error{Kind: Unavailable, Op: r.op, Message: "given up while other calls to the node were in flight: " + err.Error(), Cause: err}
	}
	return func() { place.Release(1) }, nil
}

func (g *gate) place(node string) *semaphore.Weighted {
	g.mu.Lock()
	defer g.mu.Unlock()
	place := g.nodes[node]
	if place == nil {
		place = semaphore.NewWeighted(callsPerNode)
		g.nodes[node] = place
	}
	return place
}

// nodeOf is the node in "/nodes/{node}/…"; "" in any other path.
func nodeOf(path string) string {
	rest, ok := strings.CutPrefix(path, "/nodes/")
	if !ok {
		return ""
	}
	node, _, _ := strings.Cut(rest, "/")
	return node
}
