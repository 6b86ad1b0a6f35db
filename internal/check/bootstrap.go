package check

import (
	"context"
	"fmt"
	"strconv"

	"mayfly/internal/bootstrap"
	"mayfly/internal/proxmox"
)

// bootstrapNeeds are what the token needs to put the dispatcher into a container.
func bootstrapNeeds(c bootstrapPlaces) []need {
	vm, disk, files := onPath(Bootstrap, c.pool, "MayflyVM"), onPath(Bootstrap, "/storage/"+c.disk, "MayflyDisk"), onPath(Bootstrap, "/storage/"+c.files, "MayflyISO")
	return []need{
		vm("VM.Allocate", Error, "make the container, destroy it"),
		vm("VM.Audit", Error, "read what the dispatcher in it says"),
		vm("VM.PowerMgmt", Error, "start, stop"),
		vm("VM.Config.Options", Error, "start with the node; tags, by which the dispatcher in it says that it is ready"),
		vm("VM.Config.CPU", Error, "cores of the container"),
		vm("VM.Config.Memory", Error, "memory of the container"),
		vm("VM.Config.Network", Error, "network card and host name of the container"),
		vm("VM.Config.Disk", Error, "disk of the container"),
		disk("Datastore.AllocateSpace", Error, "the container's disk"),
		disk("Datastore.Audit", Error, "see the storage of the container's disk"),
		files("Datastore.AllocateTemplate", Error, "upload the prepared template"),
		files("Datastore.Audit", Error, "read the prepared template"),
		files("Datastore.Allocate", Error, "delete the prepared template"),
		onPath(Bootstrap, c.bridge, "PVESDNUser")("SDN.Use", Error, "since 8.0 a container may use a bridge only with it"),
		onPath(Bootstrap, "/nodes", "MayflyNode")("Sys.Audit", Warning, "see why a task failed"),
	}
}

// bootstrapPlaces are the paths and storages of the container.
type bootstrapPlaces struct{ pool, bridge, disk, files string }

// container looks at what the container needs beside storages and its bridge.
func (c *checker) container(ctx context.Context) {
	if !c.wants(Bootstrap) {
		return
	}
	b := c.Config.Bootstrap
	if b.ID != 0 {
		c.containerID(ctx, b.ID)
	}
	const id, what = "container-template", "Debian 12 template of the container"
	switch {
	case b.Template != "":
		c.ok(id, what, "is file "+b.Template+" of this machine")
		return
	case b.TemplateURL != "":
		c.ok(id, what, "is fetched from "+b.TemplateURL)
		return
	}
	index, err := c.Proxmox.Appliances(ctx, c.Config.Proxmox.Node)
	if err != nil {
		c.tell(id, Warning, what, err.Error(), "on the node: pveam update; or set CT_TEMPLATE to a file, or CT_TEMPLATE_URL")
		return
	}
	newest, err := bootstrap.NewestTemplate(index)
	if err != nil {
		c.tell(id, Error, what, "isn't in the node's index of appliances", "on the node: pveam update; or set CT_TEMPLATE to a file, or CT_TEMPLATE_URL")
		return
	}
	c.ok(id, what, "is "+newest.Template+" in the node's index of appliances")
}

// containerID looks whether the VMID is free, or a container's already, which bootstrap then replaces.
func (c *checker) containerID(ctx context.Context, vmid int) {
	const id = "container-vmid"
	what := "VMID " + strconv.Itoa(vmid) + " of the container"
	free, err := c.Proxmox.VMIDFree(ctx, vmid)
	at := func() (proxmox.Resource, bool) {
		for _, r := range c.resources {
			if r.VMID == vmid {
				return r, true
			}
		}
		return proxmox.Resource{}, false
	}
	r, seen := at()
	switch {
	case err != nil:
		c.tell(id, Warning, what, err.Error(), fmt.Sprintf("on a node: pvesh get /cluster/nextid --vmid %d", vmid))
	case free:
		c.ok(id, what, "is free")
	case seen && r.Type == "lxc":
		c.ok(id, what, "is container "+r.Name+" on "+r.Node+"; bootstrap replaces it if it is its own")
	default:
		c.tell(id, Error, what, "is taken by a guest that isn't a container of this token", "set CT_ID (bootstrap.id) to a free one, or to none")
	}
}
