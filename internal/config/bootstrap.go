package config

import "mayfly/internal/runner"

// Bootstrap says what container the dispatcher is put into.
type Bootstrap struct {
	// ID is the container's VMID, outside Config.VMIDs and Image.VMIDs; 0 for one that is free.
	ID                        int
	Hostname, Storage, Bridge string
	Cores                     int
	Memory, Disk              runner.Bytes
	// Template is a file of this machine; "" for TemplateURL, and for Proxmox's index where that is "", too.
	Template, TemplateURL string
	// TemplateStorage is where the prepared template lies until the container is made.
	TemplateStorage string
	// IP is "dhcp" or "192.0.2.5/24"; then Gateway may be set.
	IP, Gateway string
}

func (f *FileBootstrap) bootstrap() Bootstrap {
	return Bootstrap{
		ID: f.ID, Hostname: f.Hostname, Storage: f.Storage, Bridge: f.Bridge, Cores: f.Cores, Memory: runner.Bytes(f.Memory),
		Disk: runner.Bytes(f.Disk), Template: f.Template, TemplateURL: f.TemplateURL, TemplateStorage: f.TemplateStorage,
		IP: f.IP, Gateway: f.Gateway,
	}
}

func fileBootstrapOf(b Bootstrap) FileBootstrap {
	return FileBootstrap{
		ID: b.ID, Hostname: b.Hostname, Storage: b.Storage, Bridge: b.Bridge, Cores: b.Cores, Memory: Size(b.Memory), Disk: Size(b.Disk),
		Template: b.Template, TemplateURL: b.TemplateURL, TemplateStorage: b.TemplateStorage, IP: b.IP, Gateway: b.Gateway,
	}
}
