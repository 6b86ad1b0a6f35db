package config

import (
	"strings"
	"time"

	"mayfly/internal/runner"
)

// The hand-offs.
const (
	// HandoffAgent gives a VM its identity through the QEMU guest agent.
	HandoffAgent = "agent"
	// HandoffSnippet gives it in cloud-init user-data, a snippet that the VM's config names.
	HandoffSnippet = "snippet"
	// HandoffISO gives it on a NoCloud medium that is uploaded for the VM.
	HandoffISO = "iso"
	// HandoffAuto is the first of HandoffAgent, HandoffISO and HandoffSnippet that template, cluster and token allow.
	HandoffAuto = "auto"
)

// Config is what is in force: every value checked, every default filled in.
type Config struct {
	// Installation is in the marker of every VM; it satisfies runner.CheckInstallation.
	Installation string
	Proxmox      Proxmox
	GitHub       GitHub
	VMIDs        VMIDRange
	// NamePrefix is the name prefix of pools that set none of their own.
	NamePrefix string
	// MaxRunners caps the VMs of all pools together.
	MaxRunners   int
	PollInterval time.Duration
	// Handoff is one of HandoffAgent, HandoffISO, HandoffSnippet and HandoffAuto.
	Handoff   string
	Pools     []runner.Pool
	Placement Placement
	Image     Image
	Bootstrap Bootstrap
	Lease     Lease
	Web       Web
	Log       Log
	// UserDataTemplate is a path; a relative one that isn't there means the template inside the binary
	// (runners.UserDataTemplate) when it is the default.
	UserDataTemplate string
	// SnippetsDir is where the snippet hand-off writes; "" for none.
	SnippetsDir string
	// Warnings are to be said once, at the start.
	Warnings []Warning
}

// Proxmox says how Proxmox VE is reached.
type Proxmox struct {
	// Endpoints are base URLs without /api2/json, "https://pve1:8006"; at least one.
	Endpoints []string
	// Node is the home node; Nodes are those that runners live on, AllNodes for every one, none for Node alone.
	Node  string
	Nodes []string
	// TokenID is "user@realm!name".
	TokenID     string
	TokenSecret runner.Secret
	// VerifyTLS is false only where nothing better was configured: no fingerprint, no CA file.
	VerifyTLS bool
	CAFile    string
	// Fingerprint is "AA:BB:…" of SHA-256, several separated by commas; "" for none.
	Fingerprint string
	// Storage is where snippets and ISO images go, never where clones go.
	Storage string
	// ResourcePool is Proxmox's resource pool that clones are put into; "" for none.
	ResourcePool string
}

// GitHub says how GitHub is reached.
type GitHub struct {
	// APIURL has no trailing slash: "https://api.github.com", "https://ghes.example.org/api/v3".
	APIURL string
	Token  runner.Secret
	// Pace is the least time between two requests that change something.
	Pace time.Duration
}

// WebURL is where repositories are for people and for config.sh: "https://github.com", "https://ghes.example.org".
func (g GitHub) WebURL() string {
	if web, ok := strings.CutSuffix(g.APIURL, "/api/v3"); ok {
		return web
	}
	return strings.Replace(g.APIURL, "://api.", "://", 1)
}

// Hosted reports whether GitHub has runners of its own there: on github.com and ghe.com, not on GitHub Enterprise Server
// (GitHub docs, "GitHub-hosted runners").
func (g GitHub) Hosted() bool { return strings.Contains(g.APIURL, "://api.") }

// VMIDRange is the VMIDs that belong to the installation, both ends included.
type VMIDRange struct{ Start, End int }

// Size is how many VMIDs the range has.
func (r VMIDRange) Size() int { return r.End - r.Start + 1 }

// Web says where /status, /metrics, /healthz and /readyz are served.
type Web struct {
	// Listen is HOST:PORT; "" for not at all.
	Listen string
	// AllowRemote lets Listen be an address that other machines reach.
	AllowRemote bool
}

// Log says how the log is written.
type Log struct {
	// Level is debug, info, warn or error.
	Level string
	// Format is text or json.
	Format string
}

// IsLogLevel reports whether s is a level of [Log].
func IsLogLevel(s string) bool { return s == "debug" || s == "info" || s == "warn" || s == "error" }

// IsLogFormat reports whether s is a format of [Log].
func IsLogFormat(s string) bool { return s == "text" || s == "json" }
