package sim

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// destroys: before each request to destroy a VM, its own or an earlier one's repetition, the process has read the VM's
// config, and, where its registration is still there, asked GitHub to remove it.
type destroys struct {
	anyRule
	w     *world
	names map[string]string // of registrations, by id
}

func (r *destroys) began(c *call) {
	if !c.is(routeDestroy) {
		return
	}
	v := r.w.model.vms[c.vmid]
	if v == nil {
		return // it is gone already, or not ours, which is another rule's
	}
	if v.read[c.gen].IsZero() {
		r.w.violated("destroys", "VM %d is to be destroyed without a look at its config", c.vmid)
	}
	if look, there := r.w.gh.Look(v.name); there && v.answered[c.gen].IsZero() {
		r.w.violated("destroys", "VM %d is to be destroyed, and nobody asked GitHub about its registration %d", c.vmid, look.ID)
	}
	delete(v.read, c.gen)
	delete(v.answered, c.gen)
}

func (r *destroys) ended(c *call) {
	if r.names == nil {
		r.names = map[string]string{}
	}
	name := ""
	switch {
	case c.is(routeMint) && c.good():
		var reply struct {
			Runner struct {
				ID   json.Number `json:"id"`
				Name string      `json:"name"`
			} `json:"runner"`
		}
		if json.Unmarshal(c.reply, &reply) == nil {
			r.names[reply.Runner.ID.String()] = reply.Runner.Name
		}
		return
	case c.is(routeRemove):
		name = r.names[c.path[strings.LastIndex(c.path, "/")+1:]]
	case c.side == toGitHub && c.method == http.MethodGet && c.query.Get("name") != "":
		name = c.query.Get("name")
	}
	if v := r.w.model.named(name); name != "" && v != nil {
		v.answered[c.gen] = time.Now()
	}
}
