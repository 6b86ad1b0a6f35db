package check

import (
	"context"
	"time"

	"mayfly/internal/canary"
	"mayfly/internal/config"
	"mayfly/internal/fleet"
	"mayfly/internal/github"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Proxmox is what checks ask of Proxmox VE.
type Proxmox interface {
	Version(ctx context.Context) (proxmox.Version, error)
	Skew() (time.Duration, bool)
	Permissions(ctx context.Context) (map[string]map[string]bool, error)
	Nodes(ctx context.Context) ([]proxmox.Node, error)
	Resources(ctx context.Context) ([]proxmox.Resource, error)
	ResourcePool(ctx context.Context, id string) ([]proxmox.Resource, error)
	Storages(ctx context.Context, node string) ([]proxmox.Storage, error)
	VMConfig(ctx context.Context, node string, vmid int) (proxmox.VMConfig, error)
	VMIDFree(ctx context.Context, vmid int) (bool, error)
	AllowedTags(ctx context.Context) (proxmox.TagRules, error)
	BackupJobs(ctx context.Context) ([]proxmox.BackupJob, error)
	Bridges(ctx context.Context, node string) ([]string, error)
	VMFirewall(ctx context.Context, node string, vmid int) (proxmox.VMFirewall, error)
	FirewallEnabled(ctx context.Context) (bool, error)
	DirMapping(ctx context.Context, id string) (proxmox.DirMapping, error)
	Appliances(ctx context.Context, node string) ([]proxmox.Appliance, error)
}

// GitHub is what checks ask of GitHub.
type GitHub interface {
	Repository(ctx context.Context, t runner.Target) (github.Repository, error)
	Jobs(ctx context.Context, t runner.Target) ([]runner.Job, error)
	Runners(ctx context.Context, t runner.Target) ([]runner.Registration, error)
	LatestRunner(ctx context.Context, t runner.Target) (github.RunnerRelease, error)
	Skew() time.Duration
	TokenExpires() (time.Time, bool)
	Budget() github.Budget
}

// Feature is what the token of Proxmox is to do.
type Feature string

// The features, each with privileges of its own.
const (
	Run       Feature = "run"       // mayfly run: clone, start, hand over, destroy
	Build     Feature = "build"     // mayfly image build
	Bootstrap Feature = "bootstrap" // mayfly bootstrap: put the dispatcher into a container
)

// Features lists all of them.
func Features() []Feature { return []Feature{Run, Build, Bootstrap} }

// Options are what to check and through whom. Config and the two clients are required.
type Options struct {
	Config  *config.Config
	Proxmox Proxmox
	GitHub  GitHub
	// Features are what the token is to do; none is what the configuration says: to run, and to build where images are built by
	// schedule.
	Features []Feature
	// Pin reads the certificate that Proxmox shows and gives the setting that pins it, "PROXMOX_FINGERPRINT=AA:BB:…". nil
	// leaves the setting to the reader.
	Pin func(ctx context.Context) (string, error)
	// HandOff makes the configured hand-off ready as mayfly run would, and gives the ways that need something beside the guest agent: it
	// looks at the user-data template and the folder of snippets on this machine. nil looks at neither.
	HandOff func() (map[fleet.Way]fleet.Seeder, error)
	// Canary makes a clone of each template, boots it, asks it what it is, and destroys it; nil makes none. It is the only thing that
	// changes anything. When Look returns none is left, or a finding says so, also after ctx has ended.
	Canary *canary.Orders
	// Say hears what a canary is about; nil for nobody.
	Say func(words string)
}

// checker is one run of all checks, with what earlier ones have seen.
type checker struct {
	Options
	findings []Finding

	release   string                       // Proxmox VE's, "" while unknown
	granted   map[string]map[string]bool   // the token's privileges by path, nil while unknown
	storages  map[string][]proxmox.Storage // by node
	resources []proxmox.Resource           // nil when they couldn't be read: the nodes are always among them
	templates []template
	seeders   map[fleet.Way]fleet.Seeder
	// repositories is what GitHub said of each target's.
	repositories map[runner.Target]repository
	latest       string // release of the Actions runner that GitHub wants, "" while unknown
}

// patience bounds each of the two sides: a server that is that slow is told as one that doesn't answer.
const patience = 2 * time.Minute

// Look makes all checks, in their order, and gives what they found. Trouble with a server is a finding, too, so there is no error; a ctx that
// ends early shows as servers that don't answer.
func Look(ctx context.Context, o Options) []Finding {
	c := &checker{Options: o}
	if len(c.Features) == 0 {
		c.Features = []Feature{Run}
		if o.Config.Image.Schedule != "" {
			c.Features = append(c.Features, Build)
		}
	}
	c.handOff()
	c.side(ctx, c.reachProxmox,
		c.version, c.certificate, c.proxmoxClock, c.nodes, c.resourcePools, c.findTemplates, c.permissions, c.lookAtTemplates,
		c.ways, c.lookAtStorages, c.vmids, c.lease, c.container, c.bridges, c.firewalls, c.tags, c.backups)
	c.side(ctx, c.reachGitHub,
		c.githubClock, c.tokenExpiry, c.targets, c.rate, c.groups, c.labels)
	c.runnerReleases() // of Proxmox's templates, by what GitHub says
	c.canaries(ctx)
	return c.findings
}

// side makes the checks of one server, unless it isn't reached.
func (c *checker) side(ctx context.Context, reach func(context.Context) bool, checks ...func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !reach(ctx) {
		return
	}
	for _, check := range checks {
		check(ctx)
	}
}

// wants reports whether the token is to do that.
func (c *checker) wants(f Feature) bool {
	for _, x := range c.Features {
		if x == f {
			return true
		}
	}
	return false
}
