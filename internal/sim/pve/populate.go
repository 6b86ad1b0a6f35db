package pve

import (
	"context"
	"fmt"
	"time"

	"mayfly/internal/runner"
)

// fleetRoles are the roles that the fleet's token needs, nothing more, and the Administrator's; each with what one release
// has and the other hasn't, which known leaves out.
func fleetRoles() map[string][]string {
	return map[string][]string{
		"CIRunnerVM": {
			"VM.Allocate", "VM.Audit", "VM.PowerMgmt", "VM.Config.Options", "VM.Config.CPU", "VM.Config.Memory",
			"VM.Config.Network", "VM.Config.Disk", "VM.Config.CDROM", "VM.Config.Cloudinit", "VM.Config.HWType",
			"Pool.Audit", "VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted", monitor,
		},
		"CIRunnerDS":   {"Datastore.AllocateSpace", "Datastore.Audit"},
		"CIRunnerISO":  {"Datastore.Allocate", "Datastore.AllocateTemplate", "Datastore.Audit"},
		"CIRunnerNode": {"Sys.Audit"},
		// Those that image builds need, as docs/image-build.md names them.
		"MayflyImage": {
			"VM.Allocate", "VM.Audit", "VM.Clone", "VM.PowerMgmt", "VM.Config.Options", "VM.Config.CPU", "VM.Config.Memory",
			"VM.Config.Network", "VM.Config.Disk", "VM.Config.CDROM", "VM.Config.HWType", "Pool.Audit", "VM.GuestAgent.Audit",
			"VM.GuestAgent.Unrestricted", monitor,
		},
		"MayflyISO":      {"Datastore.AllocateTemplate", "Datastore.Audit", "Datastore.Allocate"},
		"MayflyUpload":   {"Datastore.AllocateTemplate", "Datastore.Audit"},
		"MayflyDownload": {"Sys.AccessNetwork"},
		"MayflyLease":    {"Mapping.Modify"},
		// Built-in ones (pve-access-control: AccessControl.pm).
		"PVETemplateUser": {"VM.Audit", "VM.Clone"},
		"PVESDNUser":      {"SDN.Audit", "SDN.Use"},
		"Administrator": {
			"Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit",
			"Group.Allocate", "Mapping.Audit", "Mapping.Modify", "Mapping.Use", "Permissions.Modify", "Pool.Allocate",
			"Pool.Audit", "Realm.Allocate", "Realm.AllocateUser", "SDN.Allocate", "SDN.Audit", "SDN.Use",
			"Sys.AccessNetwork", "Sys.Audit", "Sys.Console", "Sys.Incoming", "Sys.Modify", "Sys.PowerMgmt", "Sys.Syslog",
			"User.Modify", "VM.Allocate", "VM.Audit", "VM.Backup", "VM.Clone", "VM.Config.CDROM", "VM.Config.CPU",
			"VM.Config.Cloudinit", "VM.Config.Disk", "VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network",
			"VM.Config.Options", "VM.Console", "VM.GuestAgent.Audit", "VM.GuestAgent.FileRead",
			"VM.GuestAgent.FileSystemMgmt", "VM.GuestAgent.FileWrite", "VM.GuestAgent.Unrestricted", "VM.Migrate", monitor,
			"VM.PowerMgmt", "VM.Replicate", "VM.Snapshot", "VM.Snapshot.Rollback",
		},
	}
}

// populate makes the cluster as it is before the first request.
func (s *Server) populate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.cluster
	c.randomSeq, c.watch = s.opts.Seed, s.opts.Watch
	if c.url == "" {
		c.url = "https://" + s.opts.Node + ":8006"
	}
	c.containers, c.full = map[int]*container{}, map[string]bool{}
	c.nodes, c.vms, c.volumes, c.told = map[string]*node{}, map[int]*vm{}, map[string]*volume{}, map[int]broadcast{}
	for i, name := range s.opts.Nodes {
		c.nodes[name] = &node{
			name: name, locks: newLockTable(), workers: make(chan struct{}, s.opts.Timing.Workers),
			pids: 1000 + 37*i, boot: s.start.Add(-26 * time.Hour),
		}
		c.nodes[name].ctx, c.nodes[name].kill = context.WithCancelCause(s.ctx) //nolint:fatcontext // each node has one of its own
	}
	c.storages = storagesOf(s.opts.Storages)
	c.access = access{
		tokens: map[string]*token{}, roles: fleetRoles(), acl: map[string]map[string][]string{},
		pools: map[string]*pool{
			poolRunners:   {id: poolRunners, comment: "runners"},
			poolTemplates: {id: poolTemplates, comment: "templates of runners"},
		},
	}
	for _, id := range []string{fleetToken, adminToken} {
		c.access.tokens[id] = &token{id: id, secret: c.randomUUID()}
	}
	c.grant("/", adminToken, "Administrator")
	c.grant("/pool/"+poolRunners, fleetToken, "CIRunnerVM")
	c.grant("/pool/"+poolTemplates, fleetToken, "PVETemplateUser")
	c.grant("/storage/"+storageDisks, fleetToken, "CIRunnerDS")
	if s.opts.TemplateStorage != storageDisks {
		c.grant("/storage/"+s.opts.TemplateStorage, fleetToken, "CIRunnerDS")
	}
	if s.opts.MayUpload {
		c.grant("/storage/"+storageFiles, fleetToken, "CIRunnerISO")
	}
	c.grant("/sdn/zones/localnetwork/"+bridge, fleetToken, "PVESDNUser")
	c.grant("/nodes", fleetToken, "CIRunnerNode")
	if s.opts.Lease != "" {
		c.mappings = mappings{{id: s.opts.Lease, entries: []string{"node=unused,path=/mayfly-lease"}}}
		c.grant("/mapping/dir/"+s.opts.Lease, fleetToken, "MayflyLease")
	}
	for _, r := range s.opts.Roles {
		c.access.roles[r.Name] = r.Privileges
	}
	for name, privileges := range c.access.roles {
		c.access.roles[name] = s.opts.known(privileges)
	}
	for _, t := range s.opts.Tokens {
		c.access.tokens[t.ID] = &token{id: t.ID, secret: t.Secret}
		for path, role := range t.Roles {
			c.grant(path, t.ID, role)
		}
	}

	s.populateStorage()
	for i, name := range s.opts.Nodes {
		if i == 0 || !s.sharedTemplate() {
			s.addTemplate(name, templateID+i)
		}
	}
	s.addDecoys()
	for _, r := range c.history {
		r.DigestStart = r.vm.fingerprint()
	}
	s.broadcast(s.start)
}

// templateDisk is the size of a template's disk.
const templateDisk = 8 * runner.GiB

// addTemplate makes a node's template, in the resource pool of the templates.
func (s *Server) addTemplate(nodeName string, id int) {
	v := s.vmOnStorage(nodeName, id, s.opts.TemplateName, poolTemplates, s.opts.TemplateStorage)
	v.conf["description"] = "Ubuntu 22.04 with GitHub's runner"
	v.conf["template"] = "1"
	if s.opts.TemplateAgentOff {
		delete(v.conf, "agent")
	}
	if s.opts.CloudInitDrive {
		v.conf["ide2"] = s.newCloudInitDrive(nodeName, id, s.opts.TemplateStorage) + ",media=cdrom"
	}
	s.makeBase(v)
}

// sharedTemplate reports whether one template does for all nodes.
func (s *Server) sharedTemplate() bool {
	st := s.storageByID(s.opts.TemplateStorage)
	return st != nil && st.shared
}

// plainVM makes a stopped VM as an installer would.
func (s *Server) plainVM(nodeName string, id int, name, inPool string) *vm {
	return s.vmOnStorage(nodeName, id, name, inPool, storageDisks)
}

// vmOnStorage is plainVM with the disk on a storage of choice.
func (s *Server) vmOnStorage(nodeName string, id int, name, inPool, disks string) *vm {
	c := &s.cluster
	v := &vm{id: id, node: nodeName, pool: inPool}
	v.conf = map[string]string{
		"agent": "1", "boot": "order=scsi0;net0", "cores": "2", "cpu": "host", "memory": "4096", "name": name, "ostype": "l26",
		"meta":    fmt.Sprintf("creation-qemu=%s,ctime=%d", qemuVersion, s.start.Add(-time.Hour).Unix()),
		"net0":    c.printNet(map[string]string{"model": "virtio", "bridge": bridge, "firewall": "1"}),
		"scsi0":   fmt.Sprintf("%s,size=%s", s.newDisk(nodeName, id, disks, templateDisk), printSize(templateDisk)),
		"scsihw":  "virtio-scsi-single",
		"serial0": "socket", "smbios1": "uuid=" + c.randomUUID(), "vmgenid": c.randomUUID(),
	}
	c.enrol(v, "")
	return v
}
