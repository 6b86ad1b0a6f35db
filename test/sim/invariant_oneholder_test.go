package sim

import (
	"net/http"
	"strings"
)

// oneHolder: where two dispatchers take turns, none changes anything once the next has begun to.
type oneHolder struct {
	anyRule
	w      *world
	newest int
}

func (r *oneHolder) began(c *call) {
	if !r.w.lease || c.method == http.MethodGet || strings.HasPrefix(c.path, "/cluster/mapping") {
		return
	}
	if c.gen < r.newest {
		r.w.violated("one holder", "%s %s of process %d, and process %d works already", c.method, c.path, c.gen, r.newest)
	}
	r.newest = max(r.newest, c.gen)
}
