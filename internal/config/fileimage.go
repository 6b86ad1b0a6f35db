package config

import _ "embed" // this file's comments are the reference text

// fileImageSource is this file, as fileSource is file.go.
//
//go:embed fileimage.go
var fileImageSource string

// FileImage is the key "image".
type FileImage struct {
	// The images that are built by schedule, and by mayfly image build without names.
	Names []string `yaml:"names" form:"image" derived:"debian-12"`
	// When mayfly run, and mayfly image build --schedule, build the images anew: weekly (Sunday, 03:17), daily, or five cron fields such as
	// 30 4 * * 1, in local time. Never without it.
	Schedule string `yaml:"schedule" form:"schedule"`
	// The VMIDs of templates and of the VMs that images are built and checked in. VMs of others in this range are never touched.
	VMIDs FileImageVMIDs `yaml:"vmids"`
	// The nodes that get a template, where the storage isn't shared.
	Nodes []string `yaml:"nodes" form:"node" derived:"proxmox.node"`
	// Where templates' disks go.
	Storage string `yaml:"storage" default:"local-lvm" form:"storage"`
	// Where the vendor's image (content import) and the seed (content iso) go while an image is built: a storage of files.
	FilesStorage string `yaml:"files_storage" form:"storage" derived:"proxmox.storage"`
	// The resource pool of templates.
	ResourcePool string `yaml:"resource_pool" form:"resource_pool"`
	// The bridge of the templates' network card.
	Bridge string `yaml:"bridge" default:"vmbr0" form:"bridge"`
	// The VLAN of the templates' network card; 0 is none.
	VLAN int `yaml:"vlan" default:"0" min:"0" max:"4094"`
	// CPU cores of a build and of the template.
	Cores int `yaml:"cores" default:"2" min:"1" max:"768"`
	// Memory of a build and of the template.
	Memory Size `yaml:"memory" default:"4GiB"`
	// The template's disk; the vendor's image grows to it.
	Disk Size `yaml:"disk" default:"20GiB"`
	// How many versions of an image stay on a node, the promoted one among them. Those that runners use stay, too.
	Keep int `yaml:"keep" default:"2" min:"1" max:"100"`
	// How long a build may take on one node, from the power-on to the end of the provisioning scripts.
	Timeout Duration `yaml:"timeout" default:"1h" min:"1m" max:"24h"`
	// Where images begin, instead of the vendors' own addresses.
	Sources []FileImageSource `yaml:"sources"`
	// How the vendor's image gets to a node. node: Proxmox downloads it; upload: Mayfly does, and uploads it; auto: upload where Proxmox
	// refuses.
	Fetch string `yaml:"fetch" default:"auto" oneof:"auto node upload"`
	// Whether the vendor's image stays on files_storage for the next build.
	KeepDownload bool `yaml:"keep_download" default:"false"`
	// The release of GitHub's Actions runner, such as 2.330.0. A pinned one ages: GitHub gives no jobs to one that is 30 days behind.
	RunnerVersion string `yaml:"runner_version" form:"runner_version" derived:"GitHub's latest"`
	// SHA-256 of that release's actions-runner-linux-x64 archive.
	RunnerSHA256 string `yaml:"runner_sha256" form:"sha256"`
	// Where the guest gets the archive. file:/// is for sources that hold it.
	RunnerURL string `yaml:"runner_url" form:"runner_url" derived:"GitHub's"`
	// Debian packages to install beside what C++ jobs need.
	Packages []string `yaml:"packages" form:"package"`
	// Whether the sources hold all packages already, so that none is installed.
	PackagesInstalled bool `yaml:"packages_installed" default:"false"`
	// Whether Docker is installed.
	Docker bool `yaml:"docker" default:"false"`
	// The proxy for Debian packages during the build, as http://HOST:3142.
	APTProxy string `yaml:"apt_proxy" form:"proxy_url"`
	// The proxy of the build and of jobs, for http and https.
	HTTPProxy string `yaml:"http_proxy" form:"proxy_url"`
	// What is reached without that proxy: host names and domains.
	NoProxy []string `yaml:"no_proxy" form:"label"`
}

// FileImageVMIDs is the key "image.vmids".
type FileImageVMIDs struct {
	// The first VMID.
	Start int `yaml:"start" default:"9000" min:"100" max:"999999999"`
	// The last VMID.
	End int `yaml:"end" default:"9099" min:"100" max:"999999999"`
}

// FileImageSource is one element of the key "image.sources".
type FileImageSource struct {
	// The image that begins there.
	Name string `yaml:"name" required:"always" form:"image"`
	// A disk image in qcow2 with cloud-init.
	URL string `yaml:"url" required:"always" form:"download_url"`
	// The disk image's checksum: sha256: or sha512: and hex digits.
	Checksum string `yaml:"checksum" required:"always" form:"checksum"`
}
