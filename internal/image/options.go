package image

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"mayfly/internal/canary"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// VMIDs is a range of VMIDs, both ends included.
type VMIDs struct{ Start, End int }

// Contains reports whether a VMID is in the range.
func (r VMIDs) Contains(id int) bool { return r.Start <= id && id <= r.End }

// Spec says where images are built and what is put into them.
type Spec struct {
	// Installation is in every marker and in the name of every file.
	Installation string
	// TokenID is the token that the Proxmox client uses, "user@realm!name": its tasks are ours.
	TokenID string
	// VMIDs are those of templates and builds. Runners are those of the installation's runners: the two share none.
	VMIDs, Runners VMIDs
	// Nodes get a template each, unless Storage is shared; at least one.
	Nodes []string
	// Storage is for disks, FilesStorage for the vendor's image (content import) and the seed (content iso).
	Storage, FilesStorage string
	// ResourcePool is where builds and templates are; "" for none.
	ResourcePool string
	Bridge       string
	VLAN         int // 0 for none
	Cores        int
	Memory, Disk runner.Bytes
	// Keep is how many versions of an image stay on a node; at least 1.
	Keep int
	// Timeout bounds the provisioning scripts on one node, from power-on to power-off.
	Timeout time.Duration
	Fetch   Fetch
	// KeepDownload leaves the vendor's image on FilesStorage, for the next build of the same one.
	KeepDownload bool
	Contents     Contents
}

// Contents says what the provisioning scripts put into an image.
type Contents struct {
	Packages          []string
	PackagesInstalled bool
	Docker            bool
	APTProxy          string
	HTTPProxy         string
	NoProxy           []string
}

// Fetch is how the vendor's image gets to a node.
type Fetch string

// The ways.
const (
	// FetchAuto is FetchNode, and FetchUpload where Proxmox refuses that.
	FetchAuto Fetch = "auto"
	// FetchNode lets Proxmox download.
	FetchNode Fetch = "node"
	// FetchUpload downloads here and uploads.
	FetchUpload Fetch = "upload"
)

// Options is what a [Builder] is made of.
type Options struct {
	Spec    Spec
	Proxmox *proxmox.Client
	// Scripts holds the provisioning scripts in a folder "common": runners.Common.
	Scripts fs.FS
	// HTTP fetches vendors' images and lists of checksums; nil is [http.DefaultClient].
	HTTP *http.Client
	// CacheDir is where images are downloaded to before they are uploaded; half a download is taken up there again.
	CacheDir string
	// Progress hears of every step. It is called from several goroutines, one at a time; nil discards.
	Progress func(Event)
	// Logger gets what isn't progress: what was swept, what was left. nil discards.
	Logger *slog.Logger
}

// Builder builds, lists, promotes and prunes images. It starts no goroutine that outlives a call.
type Builder struct {
	spec    Spec
	pve     *proxmox.Client
	orders  canary.Orders
	scripts fs.FS
	http    *http.Client
	cache   string
	report  *reporter
	log     *slog.Logger
	// fetching lets one download go on at a time: nodes want the same file.
	fetching *semaphore.Weighted
	// resumeAfter is the pause before a download is taken up again, 0 for the usual one; tests shorten it.
	resumeAfter time.Duration
}

// New checks the options; it asks nobody.
func New(o Options) (*Builder, error) {
	if err := o.Spec.check(); err != nil {
		return nil, err
	}
	b := &Builder{
		spec: o.Spec, pve: o.Proxmox, orders: canary.Orders{Proxmox: o.Proxmox, TokenID: o.Spec.TokenID}, scripts: o.Scripts, http: o.HTTP, cache: o.CacheDir, report: &reporter{to: o.Progress}, log: o.Logger,
		fetching: semaphore.NewWeighted(1),
	}
	if b.http == nil {
		b.http = http.DefaultClient
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	return b, nil
}

func (s *Spec) check() error {
	switch {
	case runner.CheckInstallation(s.Installation) != nil:
		return runner.CheckInstallation(s.Installation)
	case s.VMIDs.Start <= 0 || s.VMIDs.End < s.VMIDs.Start:
		return fmt.Errorf("image VMIDs %d to %d: want start before end", s.VMIDs.Start, s.VMIDs.End)
	case s.VMIDs.Start <= s.Runners.End && s.Runners.Start <= s.VMIDs.End:
		return fmt.Errorf("image VMIDs %d to %d: runners have %d to %d; set image.vmids to a range that shares none with vmids",
			s.VMIDs.Start, s.VMIDs.End, s.Runners.Start, s.Runners.End)
	case len(s.Nodes) == 0:
		return errors.New("images: no node to build on; set image.nodes or proxmox.node")
	case s.Storage == "" || s.FilesStorage == "":
		return errors.New("images: no storage; set image.storage and image.files_storage")
	case s.Keep < 1 || s.Timeout <= 0 || s.Cores < 1 || s.Memory <= 0 || s.Disk <= 0 || s.Bridge == "":
		return errors.New("images: keep, timeout, cores, memory, disk and bridge must be set")
	case !slices.Contains([]Fetch{FetchAuto, FetchNode, FetchUpload}, s.Fetch):
		return fmt.Errorf("images: fetch %q: want auto, node or upload", s.Fetch)
	}
	return nil
}
