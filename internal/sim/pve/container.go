package pve

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// container is an LXC container's configuration file and, while it runs, its init.
type container struct {
	id      int
	node    string
	conf    map[string]string
	pending map[string]string // changes that wait for the next start
	pendDel map[string]bool
	pool    string
	archive *file  // a copy of what its root file system was made of; nil for a template that is only a size
	keys    string // root's authorized_keys, as they were at creation
	started int
	ha      bool // the HA manager has it

	running   bool
	startedAt time.Time
	end       context.CancelFunc // of what plays its inside
	gone      chan struct{}      // closed when the running container is off; nil when it is off
}

// containerRoutes are a container's life and configuration, and the node's index of appliances.
func (s *Server) containerRoutes() map[string]handler {
	const ct = "/nodes/{node}/lxc/{vmid}"
	return map[string]handler{
		"GET /nodes/{node}/aplinfo": s.appliances,

		"GET /nodes/{node}/lxc":  s.listContainers,
		"POST /nodes/{node}/lxc": s.createContainer,
		"DELETE " + ct:           s.destroyContainer,

		"GET " + ct + "/config": s.containerConfig,
		"PUT " + ct + "/config": s.setContainerConfig,

		"POST " + ct + "/move_volume": s.moveContainerVolume,

		"GET " + ct + "/status/current":   s.containerCurrent,
		"POST " + ct + "/status/start":    s.startContainer,
		"POST " + ct + "/status/stop":     s.stopContainer,
		"POST " + ct + "/status/shutdown": s.shutdownContainer,
	}
}

// containerOn returns the container if its configuration is on the node.
func (c *cluster) containerOn(node string, id int) (*container, *apiError) {
	if ct := c.containers[id]; ct != nil && ct.node == node {
		return ct, nil
	}
	return nil, failf("Configuration file 'nodes/%s/lxc/%d.conf' does not exist", node, id)
}

// unusedID refuses a VMID that a VM or a container has (pve-cluster Cluster.pm, check_vmid_unused).
func (c *cluster) unusedID(id int) *apiError {
	if v := c.vms[id]; v != nil {
		return failf("VM %d already exists on node '%s'", id, v.node)
	}
	if ct := c.containers[id]; ct != nil {
		return failf("CT %d already exists on node '%s'", id, ct.node)
	}
	return nil
}

// name is the container's name as lists show it.
func (ct *container) name() string {
	if n := ct.conf["hostname"]; n != "" {
		return n
	}
	return "CT" + strconv.Itoa(ct.id)
}

func (ct *container) status() string {
	if ct.running {
		return statusRunning
	}
	return statusStopped
}

// uptime is in seconds.
func (ct *container) uptime() int64 {
	if !ct.running {
		return 0
	}
	return int64(time.Since(ct.startedAt) / time.Second)
}

// cores are the node's where no limit is set.
func (ct *container) cores() int { return confInt(ct.conf, "cores", nodeCPUs) }

func (ct *container) memory() runner.Bytes {
	return runner.Bytes(confInt(ct.conf, "memory", 512)) * runner.MiB
}

// digest is that of the configuration file, whose form is a VM's.
func (ct *container) digest() string {
	return (&vm{conf: ct.conf, pending: ct.pending, pendDel: ct.pendDel}).digest()
}

// checkLock refuses what a config lock forbids (pve-guest-common AbstractConfig.pm; the noun is a container's).
func (ct *container) checkLock() *apiError {
	if l := ct.conf["lock"]; l != "" {
		return failf("CT is locked (%s)", l)
	}
	return nil
}

// rootDisk is the size of the root file system.
func (ct *container) rootDisk() runner.Bytes {
	return drive{fields: containerFields("rootfs", ct.conf["rootfs"])}.size()
}

// containerFields reads a stored property string of a container's configuration.
func containerFields(opt, value string) map[string]string {
	out := map[string]string{}
	s := loadMethods().container[opt]
	if s == nil || s.fields == nil || value == "" {
		return out
	}
	fields, _ := s.fields.parse(opt, value)
	for k, v := range fields {
		out[k] = scalar(v)
	}
	return out
}

// figures are a container's status as the node itself sees it now (pve-container LXC.pm, vmstatus). Those of load are
// zero: the stand-in measures none.
func (ct *container) figures() map[string]any {
	out := map[string]any{
		"vmid": ct.id, "name": ct.name(), "type": "lxc", "status": ct.status(), "cpus": ct.cores(), "cpu": 0,
		"maxmem": int64(ct.memory()), "mem": 0, "maxswap": int64(runner.Bytes(confInt(ct.conf, "swap", 512)) * runner.MiB), "swap": 0,
		"maxdisk": int64(ct.rootDisk()), "disk": 0, "diskread": 0, "diskwrite": 0, "netin": 0, "netout": 0, "uptime": ct.uptime(),
	}
	for _, opt := range []string{"tags", "lock"} {
		if ct.conf[opt] != "" {
			out[opt] = ct.conf[opt]
		}
	}
	return out
}

// listContainers is GET /nodes/{node}/lxc: those that the token may audit.
func (s *Server) listContainers(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	out := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.containers)) {
		if ct := s.containers[id]; ct.node == q.node.name && s.may(q.token, "/vms/"+strconv.Itoa(id), "VM.Audit") {
			out = append(out, ct.figures())
		}
	}
	return out, nil
}

// containerCurrent is GET status/current.
func (s *Server) containerCurrent(q *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	ct, err := s.containerOn(q.node.name, q.vmid())
	if err != nil {
		return nil, err
	}
	out := ct.figures()
	out["ha"] = map[string]any{"managed": flagOf(ct.ha)}
	return out, nil
}

// tell is what pvestatd says of a container.
func (ct *container) tell(at time.Time) broadcast {
	return broadcast{
		at: at, name: ct.name(), status: ct.status(), uptime: ct.uptime(), maxmem: int64(ct.memory()), maxdisk: int64(ct.rootDisk()),
		maxcpu: ct.cores(),
	}
}

// containerResource is a container's entry in /cluster/resources, live and broadcast as a VM's is.
func (s *Server) containerResource(ct *container, now time.Time) map[string]any {
	return s.guestResource("lxc", ct.id, ct.node, ct.conf, now)
}

// ContainerState is a container as it is, for [State].
type ContainerState struct {
	VMID   int               `json:"vmid"`
	Node   string            `json:"node"`
	Name   string            `json:"name"`
	Pool   string            `json:"pool,omitempty"`
	Status string            `json:"status"` // running, stopped
	Config map[string]string `json:"config"`
	Starts int               `json:"starts"`
	HA     bool              `json:"ha,omitempty"`
}

// containerStates are those that there are, by VMID. The caller holds Server.mu.
func (s *Server) containerStates() []ContainerState {
	out := []ContainerState{}
	for _, id := range slices.Sorted(maps.Keys(s.containers)) {
		ct := s.containers[id]
		out = append(out, ContainerState{
			VMID: id, Node: ct.node, Name: ct.name(), Pool: ct.pool, Status: ct.status(), Config: maps.Clone(ct.conf), Starts: ct.started, HA: ct.ha,
		})
	}
	return out
}

// templateFile is the name of a template's file: "debian.tar.zst" of "local:vztmpl/debian.tar.zst".
func templateFile(volid string) string { return volid[strings.LastIndexByte(volid, '/')+1:] }
