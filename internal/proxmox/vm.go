package proxmox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// VMIDFree asks GET /cluster/nextid?vmid=N whether no guest has the VMID. It sees guests that the token doesn't, so
// it is the only way to tell "destroyed" from "outside our pool". Nothing is reserved.
func (c *Client) VMIDFree(ctx context.Context, vmid int) (bool, error) {
	op := fmt.Sprintf("look whether VMID %d is free", vmid)
	var free integer
	err := c.do(ctx, call{
		op: op, method: http.MethodGet, path: "/cluster/nextid", params: url.Values{"vmid": {strconv.Itoa(vmid)}}, limit: local,
	}, &free)
	var e *Error
	if errors.As(err, &e) && e.Kind == Exists && e.Status == http.StatusBadRequest {
		return false, nil
	}
	if err == nil && int(free) != vmid {
		err = unreadable(op, fmt.Errorf("it names VMID %d", free))
	}
	return err == nil, err
}

// VMConfig is a VM's configuration, pending changes included.
type VMConfig struct {
	Name        string
	Description string // as stored; Proxmox may add or drop a newline at its end
	Lock        string
	Tags        []string // sorted by Proxmox
	Template    bool
	Protection  bool
	// AgentEnabled says that the VM has a guest agent's device; the value counts from the VM's next start.
	AgentEnabled bool
	// Digest changes with the config and makes [Client.SetConfig] refuse a config that somebody else has changed.
	Digest string
	// Values holds every key of the reply, verbatim, numbers as they were written.
	Values map[string]string
}

// VMConfig reads GET /nodes/{node}/qemu/{vmid}/config (VM.Audit).
func (c *Client) VMConfig(ctx context.Context, node string, vmid int) (VMConfig, error) {
	v, err := c.guestConfig(ctx, fmt.Sprintf("VM %d on %s", vmid, node), vmPath(node, vmid, "config"))
	if err != nil {
		return VMConfig{}, err
	}
	return newVMConfig(v), nil
}

// newVMConfig reads the keys of a config that it has a field for.
func newVMConfig(v map[string]string) VMConfig {
	return VMConfig{
		Name: v["name"], Description: v["description"], Lock: v["lock"], Tags: splitList(v["tags"]),
		Template: isTrue(v["template"]), Protection: isTrue(v["protection"]), AgentEnabled: agentEnabled(v["agent"]),
		Digest: v["digest"], Values: v,
	}
}

// With is the config as it is after those keys were set. Its digest isn't known.
func (c VMConfig) With(set map[string]string) VMConfig {
	v := maps.Clone(c.Values)
	maps.Copy(v, set)
	delete(v, "digest")
	return newVMConfig(v)
}

// agentEnabled reads the property string of option "agent": "1", "enabled=1,fstrim_cloned_disks=1"; the key of the
// first part may be left out (qemu-server Agent.pm, parse_guest_agent).
func agentEnabled(s string) bool {
	for i, part := range strings.Split(s, ",") {
		key, value, named := strings.Cut(part, "=")
		switch {
		case named && strings.TrimSpace(key) == "enabled":
			return isTrue(value)
		case !named && i == 0 && isTrue(part):
			return true
		}
	}
	return false
}

// VMStatus is what a VM does now.
type VMStatus struct {
	Status    string // "running" or "stopped"
	QMPStatus string // QEMU's word: "running", "paused", "io-error", "prelaunch", …
	Lock      string
	Uptime    time.Duration
}

// VMStatus reads GET /nodes/{node}/qemu/{vmid}/status/current (VM.Audit): exact at once, at the price of a few QMP
// commands.
func (c *Client) VMStatus(ctx context.Context, node string, vmid int) (VMStatus, error) {
	op := fmt.Sprintf("read status of VM %d on %s", vmid, node)
	var w struct {
		Status    text    `json:"status"`
		QMPStatus text    `json:"qmpstatus"`
		Lock      text    `json:"lock"`
		Uptime    integer `json:"uptime"`
	}
	if err := c.do(ctx, call{op: op, method: http.MethodGet, path: vmPath(node, vmid, "status/current"), limit: remote}, &w); err != nil {
		return VMStatus{}, err
	}
	if w.Status == "" {
		return VMStatus{}, unreadable(op, errors.New("no status in it"))
	}
	return VMStatus{Status: string(w.Status), QMPStatus: string(w.QMPStatus), Lock: string(w.Lock), Uptime: w.Uptime.seconds()}, nil
}

// CloneOptions are the parameters of a clone.
type CloneOptions struct {
	// NewID is the clone's VMID.
	NewID int
	// Name must be a DNS name; "" makes Proxmox call it "Copy-of-VM-…".
	Name string
	// Description replaces the template's. Proxmox writes it to its cluster log: no secrets. At most 8192 characters.
	Description string
	// Pool is the resource pool the clone joins, as the clone's very last step.
	Pool string
	// Target is the node the clone goes to; only with shared storage. "" is the template's node.
	Target string
	// Storage is where a full clone's disks go; Proxmox refuses it for a linked clone.
	Storage string
	// Full copies the disks instead of linking to the template's.
	Full bool
}

// Clone starts POST /nodes/{node}/qemu/{template}/clone on the node that has the template, and returns the task. The
// task's id is the template's; its log's first line names the new VMID. It takes VM.Clone on the template,
// VM.Allocate on the new VMID or on the pool, Datastore.AllocateSpace, and SDN.Use on the template's bridges.
func (c *Client) Clone(ctx context.Context, node string, template int, o CloneOptions) (UPID, error) {
	form := url.Values{"newid": {strconv.Itoa(o.NewID)}, "full": {"0"}}
	if o.Full {
		form.Set("full", "1")
	}
	for key, value := range map[string]string{
		"name": o.Name, "description": o.Description, "pool": o.Pool, "target": o.Target, "storage": o.Storage,
	} {
		if value != "" {
			form.Set(key, value)
		}
	}
	return c.task(ctx, call{
		op:     fmt.Sprintf("clone VM %d to %d on %s", template, o.NewID, node),
		method: http.MethodPost, path: vmPath(node, template, "clone"), params: form, limit: change,
	})
}

// SetConfig changes a VM's options at once (PUT …/config): set holds new values, del the options to remove. With a
// digest (of [VMConfig]) a config that somebody has changed since is refused as Busy. Proxmox writes every value to
// its cluster log: no secrets. Each option has its own privilege.
func (c *Client) SetConfig(ctx context.Context, node string, vmid int, set map[string]string, del []string, digest string) error {
	return c.setGuestConfig(ctx, fmt.Sprintf("VM %d on %s", vmid, node), vmPath(node, vmid, "config"), set, del, digest)
}
