package check

import (
	"mayfly/internal/config"
)

// need is a privilege that a feature takes on a path. Roles are those of docs/roles.yaml: a test gives a
// token exactly what that file says, and takes each privilege away.
type need struct {
	feature   Feature
	path      string
	role      string // of the guide; those that begin with PVE are built in
	privilege string
	level     Level // what its lack is
	why       string
}

// places are the paths that needs are on.
type places struct {
	runners   string   // "/pool/ci", or "/vms" without a resource pool
	templates []string // one path for all templates, or one for each
	builds    string   // as runners, of templates
	disks     []string // storages that clones' disks go to
	bridges   []string // paths of the clones' bridges
	before9   bool
	container bootstrapPlaces
}

// needs is the table: everything that the features take, for this configuration.
func needs(c *config.Config, p places) []need {
	list := runNeeds(c, p)
	list = append(list, buildNeeds(c, p)...)
	return append(list, bootstrapNeeds(p.container)...)
}

// when is an error where the configuration uses the privilege, else a warning: the guide's role has it, and the first change
// of the configuration may need it.
func when(used bool) Level {
	if used {
		return Error
	}
	return Warning
}

func runNeeds(c *config.Config, p places) []need {
	cores, memory, disk := false, false, false
	for _, pool := range c.Pools {
		cores, memory, disk = cores || pool.Cores > 0, memory || pool.Memory > 0, disk || pool.Disk > 0
	}
	// What auto comes to, and whether any way works, has a finding of its own.
	byAgent, byISO, bySnippet := c.Handoff == config.HandoffAgent, c.Handoff == config.HandoffISO, c.Handoff == config.HandoffSnippet

	vm := onPath(Run, p.runners, "MayflyVM")
	list := []need{
		vm("VM.Allocate", Error, "clone into it, destroy"),
		vm("VM.Audit", Error, "see the runners"),
		vm("VM.PowerMgmt", Error, "start, stop"),
		vm("VM.Config.Options", Error, "set up: notes, no start with the node"),
		vm("VM.Config.CPU", when(cores), "set up: cores of a pool"),
		vm("VM.Config.Memory", when(memory), "set up: memory of a pool"),
		vm("VM.Config.Network", Warning, "set up: a MAC address for each VMID, which saves DHCP leases"),
		vm("VM.Config.Disk", when(disk), "set up: disk of a pool"),
		vm("VM.Config.CDROM", when(byISO), "set up: the image of hand-off iso"),
		vm("VM.Config.Cloudinit", when(bySnippet), "set up: the user-data of hand-off snippet"),
		vm("VM.Config.HWType", Warning, "set up: hardware"),
	}
	if c.Proxmox.ResourcePool != "" {
		list = append(list, vm("Pool.Audit", Error, "see which VMs are in it; a VM outside is never touched"))
	}
	list = append(list, agentNeeds(vm, when(byAgent), p.before9)...)
	for _, path := range p.templates {
		template := onPath(Run, path, "PVETemplateUser")
		list = append(list, template("VM.Audit", Error, "read templates"), template("VM.Clone", Error, "clone templates"))
	}
	for _, storage := range p.disks {
		disk := onPath(Run, "/storage/"+storage, "MayflyDisk")
		list = append(list,
			disk("Datastore.AllocateSpace", Error, "a clone's disks"),
			disk("Datastore.Audit", Warning, "see how much room there is for a clone's disks"))
	}
	for _, path := range p.bridges {
		list = append(list, onPath(Run, path, "PVESDNUser")("SDN.Use", Error, "since 8.0 a clone may use a bridge only with it"))
	}
	list = append(list, onPath(Run, "/nodes", "MayflyNode")("Sys.Audit", Warning, "see why a task failed, and how loaded a node is"))
	if c.Lease.Enabled {
		list = append(list, onPath(Run, "/mapping/dir/"+c.Lease.Mapping, "MayflyLease")("Mapping.Modify", Error, "take and renew the lease"))
	}
	if byISO {
		iso := onPath(Run, "/storage/"+c.Proxmox.Storage, "MayflyISO")
		list = append(list,
			iso("Datastore.AllocateTemplate", Error, "upload the image of hand-off iso"),
			iso("Datastore.Audit", Error, "see the images of hand-off iso"),
			iso("Datastore.Allocate", Warning, "delete an image of hand-off iso; without it each is overwritten with an empty one"))
	}
	return list
}

func buildNeeds(c *config.Config, p places) []need {
	i := c.Image
	vm := onPath(Build, p.builds, "MayflyImage")
	list := []need{
		vm("VM.Allocate", Error, "create VMs, make templates of them, destroy"),
		vm("VM.Audit", Error, "see templates"),
		vm("VM.Clone", Error, "clone a new template to check it"),
		vm("VM.PowerMgmt", Error, "start, stop"),
		vm("VM.Config.Options", Error, "create: name, notes, boot order"),
		vm("VM.Config.CPU", Error, "create: cores"),
		vm("VM.Config.Memory", Error, "create: memory"),
		vm("VM.Config.Network", Error, "create: network card"),
		vm("VM.Config.Disk", Error, "create: the disk, and grow it"),
		vm("VM.Config.CDROM", Error, "create: the seed, and take it out"),
		vm("VM.Config.HWType", Error, "create: serial port, display"),
		vm("VM.Config.Cloudinit", Warning, "for Packer: a cloud-init drive"),
		vm("VM.Console", Warning, "for Packer, which types at the boot prompt"),
	}
	if i.ResourcePool != "" {
		list = append(list, vm("Pool.Audit", Error, "see which VMs are in it"))
	}
	list = append(list, agentNeeds(vm, Error, p.before9)...)
	disk, iso := onPath(Build, "/storage/"+i.Storage, "MayflyDisk"), onPath(Build, "/storage/"+filesStorage(c), "MayflyISO")
	list = append(list,
		onPath(Build, p.runners, "MayflyLook")("VM.Audit", Warning, "see which versions of an image runners still use"),
		disk("Datastore.AllocateSpace", Error, "a template's disk"),
		disk("Datastore.Audit", Error, "see the storage of a template's disk"),
		iso("Datastore.AllocateTemplate", Error, "bring the vendor's image and the seed there"),
		iso("Datastore.Audit", Error, "import the vendor's image, read the seed"),
		iso("Datastore.Allocate", Error, "delete the vendor's image and the seed"),
		onPath(Build, "/sdn/zones/localnetwork/"+i.Bridge, "PVESDNUser")("SDN.Use", Error, "since 8.0 a VM may use a bridge only with it"))
	node := onPath(Build, "/nodes", "MayflyDownload")
	return append(list,
		node("Sys.AccessNetwork", when(i.Fetch == "node"), "let the node download; without it Mayfly downloads and uploads"),
		node("Sys.Audit", Warning, "see why a task failed"))
}

// agentNeeds are what speaking with the guest agent takes. Proxmox VE 9 has privileges of their own for it.
func agentNeeds(vm func(string, Level, string) need, level Level, before9 bool) []need {
	const why = "speak with the guest agent"
	if before9 {
		return []need{vm("VM.Monitor", level, why)}
	}
	return []need{vm("VM.GuestAgent.Audit", level, why), vm("VM.GuestAgent.Unrestricted", level, why)}
}

// onPath makes needs of one feature on one path.
func onPath(f Feature, path, role string) func(privilege string, level Level, why string) need {
	return func(privilege string, level Level, why string) need {
		return need{f, path, role, privilege, level, why}
	}
}

// filesStorage is where builds put the vendor's image and the seed.
func filesStorage(c *config.Config) string {
	if c.Image.FilesStorage != "" {
		return c.Image.FilesStorage
	}
	return c.Proxmox.Storage
}
