package proxmox

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"mayfly/internal/runner"
)

// Resource is an entry of GET /cluster/resources. Existence, Node, Lock, Tags and Pool are live; Status, Name,
// Uptime, Template and the figures are pvestatd's last broadcast: up to 10 s old, the predecessor's after a VMID is
// used again, and up to 5 minutes old on a dead node (pve-manager PVE/API2/Cluster.pm, resources).
type Resource struct {
	// ID is Proxmox's own name for the entry: "qemu/201", "node/pve1", "storage/pve1/local".
	ID string
	// Type is "qemu", "lxc", "node", "storage", "sdn", "pool", …
	Type string
	// VMID is 0 for what isn't a guest.
	VMID int
	Node string
	// Name is empty for a clone that no broadcast has told of yet.
	Name string
	// Status is "running", "stopped", "unknown", "paused", "io-error", … for guests, "online", "offline", "unknown"
	// for nodes, "available", "unknown" for storages.
	Status string
	// Lock is the config's lock, "" for none.
	Lock string
	// Pool is the resource pool. Shown only with Pool.Audit.
	Pool     string
	Tags     []string
	Template bool
	// MaxCPU may be fractional: a container's cpulimit.
	MaxCPU float64
	// CPU is the share of MaxCPU in use, 0 to 1.
	CPU           float64
	MaxMem, Mem   runner.Bytes
	MaxDisk, Disk runner.Bytes
	// Storage, Shared, Content and PluginType are for storages.
	Storage    string
	Shared     bool
	Content    []string
	PluginType string
	// HAState is the HA manager's word for a guest ("started", …) or node ("maintenance", …), "" without HA.
	HAState string
	Uptime  time.Duration
}

type wireResource struct {
	ID         text    `json:"id"`
	Type       text    `json:"type"`
	VMID       integer `json:"vmid"`
	Node       text    `json:"node"`
	Name       text    `json:"name"`
	Status     text    `json:"status"`
	Lock       text    `json:"lock"`
	Pool       text    `json:"pool"`
	Tags       text    `json:"tags"`
	Template   flag    `json:"template"`
	MaxCPU     decimal `json:"maxcpu"`
	CPU        decimal `json:"cpu"`
	MaxMem     integer `json:"maxmem"`
	Mem        integer `json:"mem"`
	MaxDisk    integer `json:"maxdisk"`
	Disk       integer `json:"disk"`
	Storage    text    `json:"storage"`
	Shared     flag    `json:"shared"`
	Content    text    `json:"content"`
	PluginType text    `json:"plugintype"`
	HAState    text    `json:"hastate"`
	Uptime     integer `json:"uptime"`
}

func (w wireResource) resource() Resource {
	return Resource{
		ID: string(w.ID), Type: string(w.Type), VMID: int(w.VMID), Node: string(w.Node), Name: string(w.Name),
		Status: string(w.Status), Lock: string(w.Lock), Pool: string(w.Pool), Tags: splitList(string(w.Tags)),
		Template: bool(w.Template), MaxCPU: float64(w.MaxCPU), CPU: float64(w.CPU),
		MaxMem: w.MaxMem.bytes(), Mem: w.Mem.bytes(), MaxDisk: w.MaxDisk.bytes(), Disk: w.Disk.bytes(),
		Storage: string(w.Storage), Shared: bool(w.Shared), Content: splitList(string(w.Content)),
		PluginType: string(w.PluginType), HAState: string(w.HAState), Uptime: w.Uptime.seconds(),
	}
}

func (w wireResource) check() error {
	if (w.Type == "qemu" || w.Type == "lxc") && w.VMID <= 0 {
		return errors.New("a guest without a VMID")
	}
	return nil
}

// Resources reads GET /cluster/resources: everything in the cluster that the token may see. It is never refused, only
// filtered: guests need VM.Audit, storages Datastore.Audit; nodes are always there.
func (c *Client) Resources(ctx context.Context) ([]Resource, error) {
	var list []wireResource
	err := c.do(ctx, call{op: "list cluster resources", method: http.MethodGet, path: "/cluster/resources", limit: local}, &list)
	if err != nil {
		return nil, err
	}
	all, err := resources("list cluster resources", list)
	c.guests.saw(all)
	return all, err
}

// ResourcePool reads GET /pools?poolid=id: the pool's members. Every valid token may. An unknown pool is NotFound.
func (c *Client) ResourcePool(ctx context.Context, id string) ([]Resource, error) {
	op := "read resource pool " + id
	var pools []struct {
		PoolID  text           `json:"poolid"`
		Members []wireResource `json:"members"`
	}
	err := c.do(ctx, call{op: op, method: http.MethodGet, path: "/pools", params: url.Values{"poolid": {id}}, limit: local}, &pools)
	if err != nil {
		return nil, err
	}
	for _, p := range pools {
		if string(p.PoolID) != id {
			continue
		}
		members, err := resources(op, p.Members)
		for i := range members {
			members[i].Pool = id
		}
		c.guests.saw(members)
		return members, err
	}
	return nil, &Error{Kind: NotFound, Op: op, Message: "no such pool"}
}

func resources(op string, list []wireResource) ([]Resource, error) {
	out := make([]Resource, 0, len(list))
	for _, w := range list {
		if err := w.check(); err != nil {
			return nil, unreadable(op, err)
		}
		out = append(out, w.resource())
	}
	return out, nil
}

// NodeVM is an entry of GET /nodes/{node}/qemu: local truth without QMP, not the broadcast.
type NodeVM struct {
	VMID     int
	Name     string
	Status   string // "running" or "stopped"
	Lock     string
	Tags     []string
	Template bool
	Uptime   time.Duration
}

// NodeVMs reads GET /nodes/{node}/qemu: the VMs of one node that the token may see (VM.Audit).
func (c *Client) NodeVMs(ctx context.Context, node string) ([]NodeVM, error) {
	op := "list VMs of node " + node
	var list []wireResource
	err := c.do(ctx, call{op: op, method: http.MethodGet, path: nodePath(node, "qemu"), limit: remote}, &list)
	if err != nil {
		return nil, err
	}
	out := make([]NodeVM, 0, len(list))
	for _, w := range list {
		if w.VMID <= 0 {
			return nil, unreadable(op, errors.New("a VM without a VMID"))
		}
		r := w.resource()
		out = append(out, NodeVM{
			VMID: r.VMID, Name: r.Name, Status: r.Status, Lock: r.Lock, Tags: r.Tags, Template: r.Template, Uptime: r.Uptime,
		})
	}
	return out, nil
}
