package sim

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// destroys: for each request to destroy a VM, repetitions too, the process has read the VM's config since it decided to,
// and, where the registration is still there, asked GitHub to remove it.
//
// The bound: a VM that has never run, that powered itself off, or whose processors stand still for good, need not wait for GitHub, which may be out or
// have asked for a pause. The answer would tell whether a job has just landed, and none can run there; the registration is removed
// afterwards. Nor need one that runs, which Proxmox doesn't destroy: it was found off when its start was under way.
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
	if look, there := r.w.gh.Look(v.name); there && v.ran && !v.running && !v.off && !v.halted && v.answered[c.gen].IsZero() {
		r.w.violated("destroys", "VM %d is to be destroyed, and nobody asked GitHub about its registration %d", c.vmid, look.ID)
	}
}

// statusUnreached is pveproxy's word that it couldn't connect to the node that was to do it.
const statusUnreached = 595

func (r *destroys) ended(c *call) {
	if r.names == nil {
		r.names = map[string]string{}
	}
	if v := r.w.model.vms[c.vmid]; v != nil && c.is(routeDestroy) && !errors.Is(c.err, syscall.ECONNREFUSED) && c.status != statusUnreached {
		// What reached no node had no effect, and the client sends it to another node's address at once.
		delete(v.read, c.gen)
		delete(v.answered, c.gen)
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
