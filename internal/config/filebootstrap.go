package config

import _ "embed" // this file's comments are the reference text

// fileBootstrapSource is this file, as fileSource is file.go.
//
//go:embed filebootstrap.go
var fileBootstrapSource string

// FileBootstrap is the key "bootstrap".
type FileBootstrap struct {
	// The container's VMID. It lies outside vmids and image.vmids.
	ID int `yaml:"id" env:"CT_ID" derived:"the lowest free one that does" min:"100" max:"999999999"`
	// The container's host name.
	Hostname string `yaml:"hostname" env:"CT_HOSTNAME" default:"mayfly" form:"hostname"`
	// Where the container's disk goes: a storage with content rootdir.
	Storage string `yaml:"storage" env:"CT_STORAGE" default:"local-lvm" form:"storage"`
	// The bridge of the container's network card.
	Bridge string `yaml:"bridge" env:"CT_BRIDGE" default:"vmbr0" form:"bridge"`
	// CPU cores of the container.
	Cores int `yaml:"cores" env:"CT_CORES" default:"1" min:"1" max:"768"`
	// Memory of the container.
	Memory Size `yaml:"memory" env:"CT_MEMORY" default:"512MiB"`
	// The container's disk.
	Disk Size `yaml:"disk" env:"CT_DISK" default:"4GiB"`
	// A Debian 12 template on this machine, tar.zst or tar.gz, instead of one that is fetched.
	Template string `yaml:"template" env:"CT_TEMPLATE" form:"path"`
	// Where this machine fetches the template.
	TemplateURL string `yaml:"template_url" env:"CT_TEMPLATE_URL" form:"download_url" derived:"what Proxmox's index of appliances names"`
	// Where the prepared template lies until the container is made: a storage of files with content vztmpl.
	TemplateStorage string `yaml:"template_storage" env:"CT_TEMPLATE_STORAGE" default:"local" form:"storage"`
	// The container's address: dhcp, or an IPv4 address with the network's size.
	IP string `yaml:"ip" env:"CT_IP" default:"dhcp" form:"container_ip"`
	// The container's router, beside an address of its own.
	Gateway string `yaml:"gateway" env:"CT_GATEWAY" form:"ipv4"`
}
