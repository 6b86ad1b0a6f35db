package pve

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// vmFigures are a VM's status as the node itself sees it now (QemuServer.pm, vmstatus). Figures of load are zero: the
// stand-in measures none.
func (v *vm) vmFigures(full bool) map[string]any {
	out := map[string]any{
		"vmid": v.id, "name": v.name(), "status": v.status(), "cpus": confInt(v.conf, "vcpus", v.cores()), "maxmem": int64(v.memory()),
		"maxdisk": int64(v.bootDisk().size()), "mem": 0, "memhost": 0, "disk": 0, "netin": 0, "netout": 0, "cpu": 0,
		"uptime": v.uptime(),
	}
	if full {
		out["qmpstatus"] = v.qmpStatus()
	}
	if b := confInt(v.conf, "balloon", 0); b > 0 {
		out["balloon_min"], out["shares"] = int64(runner.Bytes(b)*runner.MiB), confInt(v.conf, "shares", 1000)
	}
	if tags := v.conf["tags"]; tags != "" {
		out["tags"] = tags
	}
	if v.template() {
		out["template"] = 1
	}
	if l := v.conf["lock"]; l != "" {
		out["lock"] = l
	}
	if v.conf["serial0"] != "" {
		out["serial"] = 1
	}
	if !v.running {
		return out
	}
	out["pid"] = v.pid
	for _, k := range []string{"cpusome", "cpufull", "iosome", "iofull", "memorysome", "memoryfull"} {
		out["pressure"+k] = 0
	}
	if !full {
		return out
	}
	nics := map[string]any{}
	for opt := range v.conf {
		if n, ok := strings.CutPrefix(opt, "net"); ok && isNumbered(opt, "net") {
			nics[fmt.Sprintf("tap%di%s", v.id, n)] = map[string]any{"netin": 0, "netout": 0}
		}
	}
	if len(nics) > 0 {
		out["nics"] = nics
	}
	return out
}

func (v *vm) qmpStatus() string {
	switch {
	case v.running && v.halted != "":
		return v.halted
	case v.running && v.suspended:
		return "paused"
	}
	return v.status()
}

// uptime is in seconds.
func (v *vm) uptime() int64 {
	if !v.running {
		return 0
	}
	return int64(time.Since(v.startedAt) / time.Second)
}

// bootDisk is the first disk in the boot order, or the first there is.
func (v *vm) bootDisk() drive {
	order, _ := strings.CutPrefix(v.conf["boot"], "order=")
	disks := v.disks()
	for dev := range strings.SplitSeq(order, ";") {
		if d, ok := disks[dev]; ok && !d.cloudinit() {
			return d
		}
	}
	for _, opt := range slices.Sorted(maps.Keys(disks)) {
		if d := disks[opt]; !d.cloudinit() {
			return d
		}
	}
	return drive{}
}

// vmCurrent is GET status/current.
func (s *Server) vmCurrent(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	v, err := s.vmOn(q.node.name, q.vmid())
	if err != nil {
		return nil, err
	}
	out := v.vmFigures(true)
	out["ha"] = map[string]any{"managed": 0}
	if v.agentEnabled() {
		out["agent"] = 1
	}
	return out, nil
}

// listVMs is GET /nodes/{node}/qemu: the node's VMs, of which the token sees those it may audit.
func (s *Server) listVMs(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	out := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.vms)) {
		v := s.vms[id]
		if v.node == q.node.name && s.may(q.token, "/vms/"+strconv.Itoa(id), "VM.Audit") {
			out = append(out, v.vmFigures(q.params.yes("full")))
		}
	}
	return out, nil
}

// statusIndex is GET status: what there is below, for a VM that is there.
func (s *Server) statusIndex(q *call) (any, error) {
	if err := s.mustExist(q); err != nil {
		return nil, err
	}
	return index("subdir", "current", "start", "stop", "reset", "shutdown", "suspend", "reboot")(q)
}

// index is a GET on a path that only leads on: the names of what is below it.
func index(key string, names ...string) func(*call) (any, error) {
	return func(*call) (any, error) {
		out := []any{}
		for _, n := range names {
			out = append(out, map[string]any{key: n})
		}
		return out, nil
	}
}
