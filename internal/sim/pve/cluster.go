package pve

import (
	"fmt"
	"strconv"
	"time"
)

// The ids that every stand-in has.
const (
	templateID    = 9000
	poolRunners   = "ci"           // resource pool of the runners' VMs
	poolTemplates = "ci-templates" // resource pool of the templates
	fleetToken    = "ci@pve!mayfly"
	adminToken    = "admin@pve!sim"
	storageDisks  = "local-lvm" // LVM-thin: disk images
	storageFiles  = "local"     // a directory: ISO images, container templates
	bridge        = "vmbr0"
)

// cluster is what the nodes share (pmxcfs) and what each of them knows. Server.mu guards all of it.
type cluster struct {
	watch func(Change)
	access
	url   string
	nodes map[string]*node
	vms   map[int]*vm
	// containers are LXC containers; no VMID is in both.
	containers map[int]*container
	history    []*vmRecord // every VM there is or was, by creation
	tasks      []*task     // by start
	requests   []RequestState
	faults     faultBook
	storages   []*storage         // nothing changes them after New
	volumes    map[string]*volume // by key
	mappings   mappings
	log        []clusterLine
	told       map[int]broadcast // what pvestatd last said of a VMID, also of one that is gone
	toldAt     time.Time
	randomSeq  uint64
	noQuorum   bool    // for every node (SetQuorum)
	rotated    []*task // those that no call finds any more, for State
	full       map[string]bool
}

// node is one member of the cluster.
type node struct {
	name    string
	locks   *lockTable
	workers chan struct{} // a place for each daemon worker
	pids    int
	boot    time.Time
	ailing
}

// vm is one VM's configuration file and process.
type vm struct {
	id      int
	node    string
	conf    map[string]string
	pending map[string]string // changes that wait for a stop
	pendDel map[string]bool
	pool    string
	source  int    // the VMID it was cloned from
	image   string // the image that its disk, or that of what it was cloned from, was made of

	running   bool
	suspended bool
	halted    string // QEMU's word for why its processors stand still (Halt); "" while they run
	startedAt time.Time
	pid       int
	agent     bool          // whether the agent's device was there at start
	starts    uint64        // counts starts, so that an old machine's exit is told from the present one's
	cloudInit *CloudInit    // what its cloud-init drive holds since the last start
	gone      chan struct{} // closed when the running machine is off; nil when it is off
	exited    uint64        // the last start whose machine powered off by itself

	record *vmRecord
}

// vmRecord is a VM's life for [State].
type vmRecord struct {
	VMState
	vm *vm // nil when destroyed
}

// lock takes the state, after bringing what pvestatd broadcast up to date: whoever changes or reads anything goes
// through here.
func (s *Server) lock() {
	s.mu.Lock()
	s.broadcast(time.Now())
}

func (c *cluster) poolOf(vmid string) string {
	id, err := strconv.Atoi(vmid)
	if err != nil {
		return ""
	}
	if v := c.vms[id]; v != nil {
		return v.pool
	}
	if ct := c.containers[id]; ct != nil {
		return ct.pool
	}
	return ""
}

// vmOn returns the VM if its configuration is on the node.
func (c *cluster) vmOn(node string, id int) (*vm, *apiError) {
	if v := c.vms[id]; v != nil && v.node == node {
		return v, nil
	}
	return nil, failf("Configuration file 'nodes/%s/qemu-server/%d.conf' does not exist", node, id)
}

// name is the VM's name as lists show it.
func (v *vm) name() string {
	if n := v.conf["name"]; n != "" {
		return n
	}
	return fmt.Sprintf("VM %d", v.id)
}

func (v *vm) template() bool { return v.conf["template"] == "1" }

// checkLock refuses what a config lock forbids.
func (v *vm) checkLock() *apiError {
	if l := v.conf["lock"]; l != "" {
		return failf("VM is locked (%s)", l)
	}
	return nil
}

func (v *vm) checkProtection(what string) *apiError {
	if v.conf["protection"] == "1" {
		return failf("%s - protection mode enabled", what)
	}
	return nil
}
