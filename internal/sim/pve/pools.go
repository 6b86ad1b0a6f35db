package pve

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// poolName is a resource pool's id, up to three levels (pve-access-control: AccessControl.pm, pve-poolid).
var poolName = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2}$`)

// listPools is GET /pools: those that the token may audit; with poolid one pool and its members, for everybody
// (recorded from Proxmox VE 9.2: the check's result is ignored).
func (s *Server) listPools(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	if q.params.has("poolid") {
		p := s.pools[q.params.str("poolid")]
		if p == nil {
			return nil, failf("pool '%s' does not exist", q.params.str("poolid"))
		}
		e := p.entry()
		e["members"] = s.members(p, q.params.str("type"))
		return []any{e}, nil
	}
	out := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.pools)) {
		if s.may(q.token, "/pool/"+id, "Pool.Audit") {
			out = append(out, s.pools[id].entry())
		}
	}
	return out, nil
}

// getPool is GET /pools/{poolid}, the older form.
func (s *Server) getPool(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	p := s.pools[q.params.str("poolid")]
	if p == nil {
		return nil, failf("pool '%s' does not exist", q.params.str("poolid"))
	}
	out := p.entry()
	out["members"] = s.members(p, q.params.str("type"))
	return out, nil
}

func (p *pool) entry() map[string]any {
	e := map[string]any{"poolid": p.id}
	if p.comment != "" {
		e["comment"] = p.comment
	}
	return e
}

// members are a pool's VMs as the last broadcast has them.
func (s *Server) members(p *pool, kind string) []any {
	out := []any{}
	now := time.Now()
	for _, id := range slices.Sorted(maps.Keys(s.containers)) {
		if ct := s.containers[id]; ct.pool == p.id && (kind == "" || kind == "lxc") {
			e := s.containerResource(ct, now)
			delete(e, "tags")
			delete(e, "lock")
			out = append(out, e)
		}
	}
	if kind != "" && kind != "qemu" {
		return out
	}
	for _, id := range slices.Sorted(maps.Keys(s.vms)) {
		if s.vms[id].pool == p.id {
			e := s.resource(s.vms[id], now)
			delete(e, "tags")
			delete(e, "lock")
			out = append(out, e)
		}
	}
	return out
}

// createPool is POST /pools.
func (s *Server) createPool(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	id := q.params.str("poolid")
	switch {
	case s.pools[id] != nil:
		return nil, failf("create pool failed: pool '%s' already exists", id)
	case !poolName.MatchString(id):
		return nil, badParam("poolid", "invalid format - value '%s' does not look like a valid pool name", id)
	}
	if parent := strings.LastIndex(id, "/"); parent > 0 && s.pools[id[:parent]] == nil {
		return nil, failf("create pool failed: parent '%s' of pool '%s' does not exist", id[:parent], id)
	}
	s.pools[id] = &pool{id: id, comment: q.params.str("comment")}
	return nil, nil
}

// updatePool is PUT /pools: comment, and members in or out.
func (s *Server) updatePool(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	id, remove := q.params.str("poolid"), q.params.yes("delete")
	p := s.pools[id]
	if p == nil {
		return nil, failf("update pools failed: pool '%s' does not exist", id)
	}
	if q.params.has("comment") {
		p.comment = q.params.str("comment")
	}
	var chosen []*string
	for _, text := range splitList(q.params.str("vms")) {
		vmid, err := strconv.Atoi(text)
		if err != nil {
			return nil, badParam("vms", "invalid format - value does not look like a valid VM ID")
		}
		path := "/vms/" + text
		if !s.may(q.token, path, "Permissions.Modify", "VM.Allocate") {
			return nil, failf("update pools failed: 403 Permission check failed (%s, Permissions.Modify|VM.Allocate)", path)
		}
		in := s.membership(vmid)
		switch {
		case in == nil:
			return nil, failf("update pools failed: VM %d does not exist", vmid)
		case remove && *in != id:
			return nil, failf("update pools failed: VM %d is not a pool member", vmid)
		case !remove && *in == id:
			return nil, failf("update pools failed: VM %d is already a pool member", vmid)
		case !remove && *in != "" && !q.params.yes("allow-move"):
			return nil, failf("update pools failed: VM %d belongs already to pool '%s' and 'allow-move' is not set", vmid, *in)
		}
		chosen = append(chosen, in)
	}
	for _, in := range chosen {
		*in = id
		if remove {
			*in = ""
		}
	}
	return nil, nil
}

// membership is where a guest keeps its resource pool; nil when there is no such guest.
func (c *cluster) membership(vmid int) *string {
	if v := c.vms[vmid]; v != nil {
		return &v.pool
	}
	if ct := c.containers[vmid]; ct != nil {
		return &ct.pool
	}
	return nil
}

// deletePool is DELETE /pools.
func (s *Server) deletePool(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	id := q.params.str("poolid")
	if s.pools[id] == nil {
		return nil, failf("delete pool failed: pool '%s' does not exist", id)
	}
	for _, vmid := range slices.Sorted(maps.Keys(s.vms)) {
		if s.vms[vmid].pool == id {
			return nil, failf("delete pool failed: pool '%s' is not empty (contains VM %d)", id, vmid)
		}
	}
	for _, vmid := range slices.Sorted(maps.Keys(s.containers)) {
		if s.containers[vmid].pool == id {
			return nil, failf("delete pool failed: pool '%s' is not empty (contains VM %d)", id, vmid)
		}
	}
	delete(s.pools, id)
	delete(s.acl, "/pool/"+id)
	return nil, nil
}
