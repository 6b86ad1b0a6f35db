package sim

import (
	"encoding/json"
	"fmt"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// oneIdentity: at most one identity and one job for each VM, no name twice, and no job started twice.
//
// The bound: whoever removes a VM in the moment between the last look at it and the request for its identity leaves an identity
// without a VM, which is removed later.
type oneIdentity struct {
	anyRule
	w      *world
	minted map[string]int
}

func (r *oneIdentity) ended(c *call) {
	if !c.is(routeMint) || !c.good() {
		return
	}
	var body struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(c.body, &body); err != nil {
		r.w.violated("one identity", "an identity was asked for with %q", c.body)
		return
	}
	r.minted[body.Name]++
	if n := r.minted[body.Name]; n > 1 {
		r.w.violated("one identity", "%d identities for %s", n, body.Name)
	}
	if end := r.w.model.over[body.Name]; r.w.model.named(body.Name) == nil && c.at.Sub(end) > lookFor {
		r.w.violated("one identity", "an identity for %s, which has no VM", body.Name)
	}
}

func (r *oneIdentity) finished(p pve.State, g gh.State) {
	for _, j := range g.Jobs {
		if j.Starts > 1 {
			r.w.violated("one identity", "job %d was started %d times", j.ID, j.Starts)
		}
	}
	for _, x := range g.Runners {
		if len(x.Jobs) > 1 {
			r.w.violated("one identity", "runner %s had %d jobs", x.Name, len(x.Jobs))
		}
	}
	names := map[string]int{}
	for _, v := range p.VMs {
		if v.CreatedBy == "" || v.CreatedBy != r.w.spec.Token {
			continue
		}
		if v.Config["name"] == "" && v.Name == fmt.Sprintf("VM %d", v.VMID) {
			continue // its clone failed before it had a name, as on a full storage; another clone may have the VMID then
		}
		if names[v.Name]++; names[v.Name] == 2 {
			r.w.violated("one identity", "two VMs were called %s", v.Name)
		}
	}
}
