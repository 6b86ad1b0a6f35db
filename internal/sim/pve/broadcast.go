package pve

import (
	"strconv"
	"time"
)

// toldLife is how long a broadcast is believed (pve-cluster status.c: entries of the RRD data expire after 5 minutes).
const toldLife = 5 * time.Minute

// broadcast is what pvestatd of a node last said of a VMID. It is kept by VMID, so a VM made under a used one shows
// its predecessor until the next round (recorded from Proxmox VE 9.2).
type broadcast struct {
	at       time.Time
	name     string
	status   string
	template bool
	uptime   int64
	maxmem   int64
	maxdisk  int64
	maxcpu   int
}

// broadcast lets pvestatd speak as often as it would have until now; only its last words count. The caller holds
// Server.mu.
func (s *Server) broadcast(now time.Time) {
	switch every := s.opts.Timing.Broadcast; {
	case every <= 0 || s.toldAt.IsZero():
		s.toldAt = now
	case now.Sub(s.toldAt) < every:
		return
	default:
		s.toldAt = now.Add(-(now.Sub(s.toldAt) % every))
	}
	for id, v := range s.vms {
		if s.speaks(v.node) {
			s.told[id] = v.tell(s.toldAt)
		}
	}
	for id, ct := range s.containers {
		if s.speaks(ct.node) {
			s.told[id] = ct.tell(s.toldAt)
		}
	}
}

// tell is what pvestatd says of a VM.
func (v *vm) tell(at time.Time) broadcast {
	return broadcast{
		at: at, name: v.name(), status: v.qmpStatus(), template: v.template(), uptime: v.uptime(), maxmem: int64(v.memory()),
		maxdisk: int64(v.bootDisk().size()), maxcpu: v.cores(),
	}
}

// resource is a VM's entry in /cluster/resources: existence, node, tags, lock and resource pool are live, the rest is
// what was broadcast, and "unknown" when nothing was (pve-manager API2/Cluster.pm, resources; API2Tools.pm,
// extract_vm_stats).
func (s *Server) resource(v *vm, now time.Time) map[string]any {
	return s.guestResource("qemu", v.id, v.node, v.conf, now)
}

// guestResource is the entry of a VM ("qemu") or container ("lxc").
func (s *Server) guestResource(kind string, id int, node string, conf map[string]string, now time.Time) map[string]any {
	out := map[string]any{
		"type": kind, "id": kind + "/" + strconv.Itoa(id), "vmid": id, "node": node, "status": "unknown",
	}
	if conf["tags"] != "" {
		out["tags"] = conf["tags"]
	}
	if conf["lock"] != "" {
		out["lock"] = conf["lock"]
	}
	said, ok := s.told[id]
	if !ok || now.Sub(said.at) > toldLife {
		return out
	}
	for k, n := range map[string]any{
		"name": said.name, "status": said.status, "template": flagOf(said.template), "uptime": said.uptime, "maxmem": said.maxmem,
		"maxdisk": said.maxdisk, "maxcpu": said.maxcpu, "cpu": 0, "mem": 0, "memhost": 0, "disk": 0, "diskread": 0, "diskwrite": 0,
		"netin": 0, "netout": 0,
	} {
		out[k] = n
	}
	return out
}
