package sim

import "fmt"

// inFlight: a process has at most 3 calls in flight to each node, which has 3 daemon workers for everybody; and 3 uploads, which
// pveproxy receives beside its other work.
type inFlight struct {
	anyRule
	w     *world
	calls map[string]int
}

// perNode is how many.
const perNode = 3

func (r *inFlight) began(c *call) {
	if c.side != toProxmox {
		return
	}
	key := r.key(c)
	if r.calls[key]++; r.calls[key] > perNode {
		r.w.violated("in flight", "%s %s is one of %d calls in flight to node %q", c.method, c.path, r.calls[key], c.node)
	}
}

func (r *inFlight) ended(c *call) {
	if c.side == toProxmox {
		r.calls[r.key(c)]--
	}
}

func (r *inFlight) key(c *call) string {
	return fmt.Sprintf("%d %s %t", c.gen, c.node, c.is(routeUpload))
}
