package proxmox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// NewContainer are the parameters of an LXC container's creation.
type NewContainer struct {
	VMID int
	// Template is the volume that its root file system is unpacked from: "local:vztmpl/debian-12.tar.zst".
	Template string
	// Pool is the resource pool that the container joins. Tags are checked before that, on the container itself: a token
	// whose privileges come from the resource pool leaves "tags" out of Options and sets them with
	// [Client.SetContainerConfig] afterwards, else it is refused.
	Pool string
	// Options are configuration options ("hostname", "rootfs", "net0", "memory", …). "rootfs" is "STORAGE:GIB". Without
	// "unprivileged" the container is unprivileged; of "features" a token may set only "nesting=1". Proxmox writes the
	// values to its cluster log: no secrets.
	Options map[string]string
}

// CreateContainer starts POST /nodes/{node}/lxc and returns the task, of type vzcreate: the container is there, stopped,
// when that ended well, and gone when it ended badly. It takes VM.Allocate and VM.Config.Disk, .CPU, .Memory, .Network
// and .Options, as far as such options are given, on the VMID or on the resource pool; Datastore.AllocateSpace on the
// storage of its volumes and Datastore.Audit on the template's; SDN.Use on the bridges. A VMID that is taken is Exists.
// A template that isn't there shows in the task alone.
func (c *Client) CreateContainer(ctx context.Context, node string, ct NewContainer) (UPID, error) {
	form := url.Values{"vmid": {strconv.Itoa(ct.VMID)}, "ostemplate": {ct.Template}}
	for key, value := range ct.Options {
		form.Set(key, value)
	}
	if ct.Pool != "" {
		form.Set("pool", ct.Pool)
	}
	return c.task(ctx, call{
		op: fmt.Sprintf("create container %d on %s", ct.VMID, node), method: http.MethodPost, path: nodePath(node, "lxc"), params: form, limit: change,
	})
}

// containerPath is the path of a container's resource.
func containerPath(node string, vmid int, rest string) string {
	path := nodePath(node, "lxc", strconv.Itoa(vmid))
	if rest != "" {
		path += "/" + rest
	}
	return path
}

// ContainerConfig is a container's configuration, pending changes included.
type ContainerConfig struct {
	Hostname    string
	Description string // as stored; Proxmox may add or drop a newline at its end
	Lock        string
	Tags        []string // sorted by Proxmox
	Protection  bool
	// Digest changes with the config and makes [Client.SetContainerConfig] refuse a config that somebody else has changed.
	Digest string
	// Values holds every key of the reply, verbatim, numbers as they were written.
	Values map[string]string
}

// ContainerConfig reads GET /nodes/{node}/lxc/{vmid}/config (VM.Audit).
func (c *Client) ContainerConfig(ctx context.Context, node string, vmid int) (ContainerConfig, error) {
	v, err := c.guestConfig(ctx, fmt.Sprintf("container %d on %s", vmid, node), containerPath(node, vmid, "config"))
	if err != nil {
		return ContainerConfig{}, err
	}
	return ContainerConfig{
		Hostname: v["hostname"], Description: v["description"], Lock: v["lock"], Tags: splitList(v["tags"]),
		Protection: isTrue(v["protection"]), Digest: v["digest"], Values: v,
	}, nil
}

// SetContainerConfig changes a container's options at once (PUT …/config), or for its next start where a running one
// can't take them: set holds new values, del the options to remove. With a digest (of [ContainerConfig]) a config that
// somebody has changed since is refused as Busy. Proxmox writes every value to its cluster log: no secrets. Each option
// has its own privilege: hostname and net0 VM.Config.Network, description and tags VM.Config.Options, ….
func (c *Client) SetContainerConfig(ctx context.Context, node string, vmid int, set map[string]string, del []string, digest string) error {
	return c.setGuestConfig(ctx, fmt.Sprintf("container %d on %s", vmid, node), containerPath(node, vmid, "config"), set, del, digest)
}

// ContainerStatus is what a container does now.
type ContainerStatus struct {
	Running bool
	// HA says that Proxmox's HA manager keeps it as it is.
	HA bool
}

// ContainerStatus reads GET /nodes/{node}/lxc/{vmid}/status/current (VM.Audit).
func (c *Client) ContainerStatus(ctx context.Context, node string, vmid int) (ContainerStatus, error) {
	op := fmt.Sprintf("read status of container %d on %s", vmid, node)
	var w struct {
		Status text `json:"status"`
		HA     struct {
			Managed flag `json:"managed"`
		} `json:"ha"`
	}
	if err := c.do(ctx, call{op: op, method: http.MethodGet, path: containerPath(node, vmid, "status/current"), limit: remote}, &w); err != nil {
		return ContainerStatus{}, err
	}
	if w.Status == "" {
		return ContainerStatus{}, unreadable(op, errors.New("no status in it"))
	}
	return ContainerStatus{Running: w.Status == "running", HA: bool(w.HA.Managed)}, nil
}

// ContainerRunning reports whether a container runs (VM.Audit).
func (c *Client) ContainerRunning(ctx context.Context, node string, vmid int) (bool, error) {
	st, err := c.ContainerStatus(ctx, node, vmid)
	return st.Running, err
}

// StartContainer starts a container (VM.PowerMgmt) and returns the task. Of one that runs already it is Exists.
func (c *Client) StartContainer(ctx context.Context, node string, vmid int) (UPID, error) {
	return c.containerPower(ctx, "start", node, vmid)
}

// StopContainer kills all that runs in a container (VM.PowerMgmt) and returns the task. One that doesn't run, or isn't
// there, is refused at once.
func (c *Client) StopContainer(ctx context.Context, node string, vmid int) (UPID, error) {
	return c.containerPower(ctx, "stop", node, vmid)
}

// ShutdownContainer asks a container's init to end (VM.PowerMgmt) and returns the task, which fails when that takes more
// than Proxmox's default of a minute. One that doesn't run, or isn't there, is refused at once.
func (c *Client) ShutdownContainer(ctx context.Context, node string, vmid int) (UPID, error) {
	return c.containerPower(ctx, "shutdown", node, vmid)
}

func (c *Client) containerPower(ctx context.Context, what, node string, vmid int) (UPID, error) {
	return c.task(ctx, call{
		op:     fmt.Sprintf("%s container %d on %s", what, vmid, node),
		method: http.MethodPost, path: containerPath(node, vmid, "status/"+what), limit: change,
	})
}

// DeleteContainer destroys a stopped container with its volumes (VM.Allocate) and returns the task. One that runs is
// refused at once.
func (c *Client) DeleteContainer(ctx context.Context, node string, vmid int) (UPID, error) {
	return c.task(ctx, call{
		op: fmt.Sprintf("destroy container %d on %s", vmid, node), method: http.MethodDelete, path: containerPath(node, vmid, ""), limit: change,
	})
}
