package config

import (
	"slices"
	"time"

	"mayfly/internal/runner"
)

// Image says how runner images are built.
type Image struct {
	// Names are the images that the schedule builds; none is debian-12.
	Names []string
	// Schedule is "", "daily", "weekly" or five cron fields.
	Schedule string
	// VMIDs are those of templates and builds; they share none with Config.VMIDs.
	VMIDs VMIDRange
	// Nodes get a template each, where Storage isn't shared; none is Proxmox.Node.
	Nodes []string
	// Storage is where disks go, FilesStorage where the vendor's image and the seed go; "" is Proxmox.Storage.
	Storage, FilesStorage string
	// ResourcePool is the templates'; "" for none.
	ResourcePool string
	Bridge       string
	VLAN         int // 0 for none
	Cores        int
	Memory, Disk runner.Bytes
	// Keep is how many versions of an image stay on a node; at least 1.
	Keep    int
	Timeout time.Duration
	Sources []ImageSource
	// Fetch is "auto", "node" or "upload".
	Fetch        string
	KeepDownload bool
	// RunnerVersion is "" for GitHub's latest; then RunnerSHA256 is "", too.
	RunnerVersion, RunnerSHA256, RunnerURL string
	Packages                               []string
	PackagesInstalled, Docker              bool
	APTProxy, HTTPProxy                    string
	NoProxy                                []string
}

// ImageSource is where an image begins, instead of the vendor's own address.
type ImageSource struct {
	Name, URL string
	// Checksum is "sha256:…" or "sha512:…".
	Checksum string
}

func (f *FileImage) image() Image {
	i := Image{
		Names: slices.Clone(f.Names), Schedule: f.Schedule, VMIDs: VMIDRange(f.VMIDs), Nodes: slices.Clone(f.Nodes), Storage: f.Storage,
		FilesStorage: f.FilesStorage, ResourcePool: f.ResourcePool, Bridge: f.Bridge, VLAN: f.VLAN, Cores: f.Cores,
		Memory: runner.Bytes(f.Memory), Disk: runner.Bytes(f.Disk), Keep: f.Keep, Timeout: time.Duration(f.Timeout),
		Fetch: f.Fetch, KeepDownload: f.KeepDownload, RunnerVersion: f.RunnerVersion, RunnerSHA256: f.RunnerSHA256, RunnerURL: f.RunnerURL,
		Packages: slices.Clone(f.Packages), PackagesInstalled: f.PackagesInstalled, Docker: f.Docker, APTProxy: f.APTProxy,
		HTTPProxy: f.HTTPProxy, NoProxy: slices.Clone(f.NoProxy),
	}
	for _, s := range f.Sources {
		i.Sources = append(i.Sources, ImageSource(s))
	}
	return i
}

func fileImageOf(i Image) FileImage {
	f := FileImage{
		Names: i.Names, Schedule: i.Schedule, VMIDs: FileImageVMIDs(i.VMIDs), Nodes: i.Nodes, Storage: i.Storage,
		FilesStorage: i.FilesStorage, ResourcePool: i.ResourcePool, Bridge: i.Bridge, VLAN: i.VLAN, Cores: i.Cores,
		Memory: Size(i.Memory), Disk: Size(i.Disk), Keep: i.Keep, Timeout: Duration(i.Timeout),
		Fetch: i.Fetch, KeepDownload: i.KeepDownload, RunnerVersion: i.RunnerVersion, RunnerSHA256: i.RunnerSHA256, RunnerURL: i.RunnerURL,
		Packages: i.Packages, PackagesInstalled: i.PackagesInstalled, Docker: i.Docker, APTProxy: i.APTProxy, HTTPProxy: i.HTTPProxy,
		NoProxy: i.NoProxy,
	}
	for _, s := range i.Sources {
		f.Sources = append(f.Sources, FileImageSource(s))
	}
	return f
}
