package pve

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// nodeCPUs and nodeDisk are the figures of every node, beside nodeMemory.
const (
	nodeCPUs = 32
	nodeDisk = 100 * runner.GiB
)

// clusterRoutes are the handlers of what is seen of the cluster as a whole, of nodes and of resource pools.
func (s *Server) clusterRoutes() map[string]handler {
	return map[string]handler{
		"GET /version":                  s.getVersion,
		"GET /cluster/resources":        s.listResources,
		"GET /cluster/nextid":           s.nextID,
		"GET /cluster/options":          s.clusterOptions,
		"GET /cluster/log":              s.getClusterLog,
		"GET /cluster/backup":           s.backupJobs,
		"GET /cluster/firewall/options": s.firewallOptions,
		"GET /nodes/{node}/network":     s.nodeNetwork,
		"GET /cluster/status":           s.clusterStatus,
		"GET /nodes":                    s.listNodes,
		"GET /nodes/{node}/status":      s.nodeStatus,
		"GET /nodes/{node}/version":     s.getVersion,
		"GET /pools":                    s.listPools,
		"GET /pools/{poolid}":           s.getPool,
		"POST /pools":                   s.createPool,
		"PUT /pools":                    s.updatePool,
		"DELETE /pools":                 s.deletePool,
	}
}

// listResources is GET /cluster/resources: everybody may ask, and sees what he may audit.
func (s *Server) listResources(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	now, kind := time.Now(), q.params.str("type")
	out := []any{}
	if kind == "" {
		for _, id := range slices.Sorted(maps.Keys(s.pools)) {
			if s.may(q.token, "/pool/"+id, "Pool.Audit") {
				out = append(out, map[string]any{"type": "pool", "id": "/pool/" + id, "pool": id})
			}
		}
	}
	if kind == "" || kind == "vm" {
		for _, id := range slices.Sorted(maps.Keys(s.vms)) {
			v := s.vms[id]
			if !s.may(q.token, "/vms/"+strconv.Itoa(id), "VM.Audit") {
				continue
			}
			e := s.resource(v, now)
			if v.pool != "" && s.may(q.token, "/pool/"+v.pool, "Pool.Audit") {
				e["pool"] = v.pool
			}
			out = append(out, e)
		}
		out = append(out, s.containerResources(q.token, now)...)
	}
	if kind == "" || kind == "node" {
		for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
			e := s.nodeFigures(q.token, s.nodes[name], now)
			e["cgroup-mode"] = 2
			if s.nodes[name].resting {
				e["hastate"] = "maintenance"
			}
			out = append(out, e)
		}
	}
	if kind == "" || kind == "storage" {
		for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
			out = append(out, s.storageResources(q.token, name)...)
		}
	}
	if (kind == "" || kind == "sdn") && s.may(q.token, "/sdn/zones/localnetwork", "SDN.Audit") {
		for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
			out = append(out, map[string]any{ // the zone of the bridges that nobody defined as SDN (recorded from Proxmox VE 9.2)
				"type": "network", "id": "network/" + name + "/zone/localnetwork", "node": name,
				"network": "localnetwork", "network-type": "zone", "status": "ok",
			})
		}
	}
	return out, nil
}

// containerResources are the containers that a token may audit.
func (s *Server) containerResources(t *token, now time.Time) []any {
	var out []any
	for _, id := range slices.Sorted(maps.Keys(s.containers)) {
		ct := s.containers[id]
		if !s.may(t, "/vms/"+strconv.Itoa(id), "VM.Audit") {
			continue
		}
		e := s.containerResource(ct, now)
		if ct.pool != "" && s.may(t, "/pool/"+ct.pool, "Pool.Audit") {
			e["pool"] = ct.pool
		}
		out = append(out, e)
	}
	return out
}

func (s *Server) storageResources(t *token, node string) []any {
	out := []any{}
	for _, st := range s.storages {
		if !s.mayLook(t, st) {
			continue
		}
		out = append(out, map[string]any{
			"type": "storage", "id": "storage/" + node + "/" + st.id, "node": node, "storage": st.id, "status": s.storageWord(node),
			"plugintype": st.kind, "content": strings.Join(st.content, ","), "shared": flagOf(st.shared),
			"maxdisk": int64(st.total), "disk": int64(s.taken(node, st)),
		})
	}
	return out
}

// nodeFigures are a node as lists show it: name and status for everybody, figures for those who may audit it
// (pve-manager API2Tools.pm, extract_node_stats).
func (s *Server) nodeFigures(t *token, n *node, now time.Time) map[string]any {
	out := map[string]any{"type": "node", "id": "node/" + n.name, "node": n.name, "status": "online", "level": ""}
	if n.seenDead(now) {
		out["status"] = "offline"
		return out
	}
	if s.may(t, "/nodes/"+n.name, "Sys.Audit") {
		maps.Copy(out, map[string]any{
			"cpu": 0.02, "maxcpu": nodeCPUs, "mem": int64(s.committed(n.name)), "maxmem": int64(nodeMemory), "disk": int64(12 * runner.GiB),
			"maxdisk": int64(nodeDisk), "uptime": int64(now.Sub(n.boot) / time.Second),
		})
	}
	return out
}

// committed is the memory of the machines that run on a node, and the host's own.
func (c *cluster) committed(node string) runner.Bytes {
	sum := 2 * runner.GiB
	for _, v := range c.vms {
		if v.node == node && v.running {
			sum += v.memory()
		}
	}
	for _, ct := range c.containers {
		if ct.node == node && ct.running {
			sum += ct.memory()
		}
	}
	return sum
}

// listNodes is GET /nodes.
func (s *Server) listNodes(q *call) (any, error) {
	fingerprint := s.identity.fingerprint(s.opts.Nodes)
	s.lock()
	defer s.mu.Unlock()
	now := time.Now()
	out := []any{}
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		e := s.nodeFigures(q.token, s.nodes[name], now)
		e["ssl_fingerprint"] = fingerprint
		out = append(out, e)
	}
	return out, nil
}

// knownNode refuses a node that isn't one, as the host's name look-up does.
func (c *cluster) knownNode(name string) *apiError {
	if c.nodes[name] == nil {
		return failf("no such cluster node '%s'", name)
	}
	return nil
}

// nodeStatus is GET /nodes/{node}/status.
func (s *Server) nodeStatus(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	used := s.committed(q.node.name)
	version := "#1 SMP PREEMPT_DYNAMIC PMX " + strings.TrimSuffix(s.opts.kernel(), "-pve")
	kernel := map[string]any{"sysname": "Linux", "release": s.opts.kernel(), "version": version, "machine": "x86_64"}
	return map[string]any{
		"uptime": int64(time.Since(q.node.boot) / time.Second), "cpu": 0.02, "wait": 0.0, "idle": 0, "loadavg": []string{"0.20", "0.15", "0.10"},
		"memory": map[string]any{"total": int64(nodeMemory), "used": int64(used), "free": int64(nodeMemory - used), "available": int64(nodeMemory - used)},
		"swap":   map[string]any{"total": 0, "used": 0, "free": 0},
		"ksm":    map[string]any{"shared": 0},
		"rootfs": map[string]any{"total": int64(nodeDisk), "used": int64(12 * runner.GiB), "free": int64(nodeDisk - 12*runner.GiB), "avail": int64(nodeDisk - 12*runner.GiB)},
		"cpuinfo": map[string]any{
			"cpus": nodeCPUs, "cores": nodeCPUs / 2, "sockets": 1, "model": "stand-in", "vendor": "AuthenticAMD", "family": "25", "mhz": "3000.000",
			"user_hz": 100, "hvm": "1", "flags": "fpu vme svm",
		},
		"pveversion": "pve-manager/" + s.opts.Release + "/" + repoID, "kversion": "Linux " + s.opts.kernel() + " " + version,
		"current-kernel": kernel, "boot-info": map[string]any{"mode": "efi", "secureboot": 0},
	}, nil
}

const repoID = "14a22df35955d97d"

func (s *Server) getVersion(*call) (any, error) {
	release := s.opts.Release
	if parts := strings.SplitN(release, ".", 3); len(parts) == 3 {
		release = parts[0] + "." + parts[1]
	}
	return map[string]any{"version": s.opts.Release, "release": release, "repoid": repoID}, nil
}

// Bounds of what nextid gives (datacenter.cfg, next-id).
const (
	firstID = 100
	lastID  = 1_000_000
)

// nextID is GET /cluster/nextid: a free VMID, or whether one is free. It sees every VM, whoever asks.
func (s *Server) nextID(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	if q.params.has("vmid") {
		id := q.vmid()
		if s.unusedID(id) != nil {
			return nil, badParam("vmid", "VM %d already exists", id)
		}
		return strconv.Itoa(id), nil
	}
	for id := firstID; id < lastID; id++ {
		if s.unusedID(id) == nil {
			return strconv.Itoa(id), nil
		}
	}
	return nil, failf("unable to get any free VMID in range [%d, %d]", firstID, lastID)
}

// clusterStatus is GET /cluster/status: a node alone is no cluster and has no entry for one.
func (s *Server) clusterStatus(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	out := []any{}
	if len(s.nodes) > 1 {
		out = append(out, map[string]any{
			"type": "cluster", "id": "cluster", "name": "stand-in", "nodes": len(s.nodes), "quorate": flagOf(!s.lostQuorum()), "version": len(s.nodes),
		})
	}
	for i, name := range slices.Sorted(maps.Keys(s.nodes)) {
		e := map[string]any{
			"type": "node", "id": "node/" + name, "name": name, "online": flagOf(s.seesOnline(q.node.name, name)), "local": flagOf(name == q.node.name), "level": "",
			"ip": "192.0.2." + strconv.Itoa(i+1), "nodeid": 0,
		}
		if len(s.nodes) > 1 {
			e["nodeid"] = i + 1
		}
		out = append(out, e)
	}
	return out, nil
}
