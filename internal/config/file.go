package config

import (
	_ "embed" // this file's comments are the reference text

	"mayfly/internal/runner"
)

// fileSource is this file: its comments become docs/configuration.md and the descriptions of the JSON Schema.
//
//go:embed file.go
var fileSource string

// Tags of the fields below:
//
//	yaml     the key
//	env      the variable that stands for it; inside a pool it shapes the one pool of an environment without `pools`
//	default  what it is when nobody sets it; derived says the same in words where it follows from other keys
//	required "always" where the key must stand in the file, "somewhere" where a variable will do
//	form     a name in forms; oneof: the values; min, max: the range of a number or duration
//	handoff  the hand-offs that use the value: with another one it is ignored

// File is mayfly.yaml. Every key has a default or can come from the environment; an unknown key is an error.
type File struct {
	// Names this installation in the marker of every VM it makes: two dispatchers that share a cluster need two names.
	// Never change it while runners live, they would belong to nobody.
	Installation string `yaml:"installation" form:"installation" derived:"<name_prefix>-<vmids.start>, in lower case"`
	// How Proxmox VE is reached.
	Proxmox FileProxmox `yaml:"proxmox"`
	// How GitHub is reached.
	GitHub FileGitHub `yaml:"github"`
	// The VMIDs that belong to this installation. VMs of others in this range are shown and never touched.
	VMIDs FileVMIDs `yaml:"vmids"`
	// Begins the name of every runner and VM: prefix, dash, ten random hex digits.
	NamePrefix string `yaml:"name_prefix" env:"RUNNER_NAME_PREFIX" default:"energyplus-runner" form:"prefix"`
	// How many VMs there may be at once, all pools together, whatever their state.
	MaxRunners int `yaml:"max_runners" env:"MAX_TOTAL_RUNNERS" default:"1" min:"1" max:"10000"`
	// How often GitHub is asked for queued jobs.
	PollInterval Duration `yaml:"poll_interval" env:"POLL_INTERVAL" default:"15s" min:"1s" max:"10m"`
	// How a VM gets its runner identity. agent: by the QEMU guest agent, once the VM is up; nothing secret is ever on a disk. iso: in
	// cloud-init user-data on a CD-ROM image, uploaded to proxmox.storage before the VM starts, ejected and deleted when its guest has read
	// it. snippet: in cloud-init user-data, written to snippets_dir before the VM starts and removed when it has. auto: the first of these
	// three that the template, the cluster and the token allow; the log says which and why.
	Handoff string `yaml:"handoff" env:"RUNNER_HANDOFF" default:"agent" oneof:"agent iso snippet auto"`
	// Where the snippet hand-off writes user-data: the snippets folder of a storage that Proxmox and this machine share.
	SnippetsDir string `yaml:"snippets_dir" env:"SNIPPETS_DIR" form:"path" handoff:"snippet"`
	// The cloud-init user-data that the iso and snippet hand-offs fill in. The shipped one is inside the binary, too, for when the
	// file isn't there.
	UserDataTemplate string `yaml:"user_data_template" env:"USER_DATA_TEMPLATE" default:"runners/ubuntu-2204/cloud-init/runner-user-data.pkrtpl" form:"path" handoff:"iso snippet"`
	// The kinds of runner. A job goes to a pool that has all of its labels. Without this key the environment describes one pool.
	Pools []FilePool `yaml:"pools"`
	// How a runner's node is chosen.
	Placement FilePlacement `yaml:"placement"`
	// How runner images are built: mayfly image build.
	Image FileImage `yaml:"image"`
	// The container that the dispatcher is put into: mayfly bootstrap.
	Bootstrap FileBootstrap `yaml:"bootstrap"`
	// Lets a second dispatcher stand by for the first: mayfly run, active and standby.
	Lease FileLease `yaml:"lease"`
	// Where /status, /metrics, /healthz and /readyz are.
	Web FileWeb `yaml:"web"`
	// How the log is written, to standard error.
	Log FileLog `yaml:"log"`
}

// FileProxmox is the key "proxmox".
type FileProxmox struct {
	// Where the API is, with or without /api2/json. http is for loopback addresses only and becomes https elsewhere.
	// The variable may name several, separated by commas.
	URL string `yaml:"url" env:"PROXMOX_URL" required:"somewhere" form:"url"`
	// Several nodes of one cluster instead of url: the next one is asked when one doesn't answer.
	Endpoints []string `yaml:"endpoints" form:"url"`
	// The node that runners live on, unless nodes is set; the template must be there. Images are built there, and ISO images uploaded.
	Node string `yaml:"node" env:"PROXMOX_NODE" required:"somewhere" form:"node"`
	// The nodes that runners live on, each with a copy of the template or one on a storage that they share; all is every node of the
	// cluster. placement says which of them gets a runner.
	Nodes []string `yaml:"nodes" env:"PROXMOX_NODES" form:"node" derived:"proxmox.node alone"`
	// The API token's id.
	TokenID string `yaml:"token_id" env:"PROXMOX_TOKEN_ID" required:"somewhere" form:"token_id"`
	// The token's secret. Better in a file of its own.
	TokenSecret runner.Secret `yaml:"token_secret" env:"PROXMOX_TOKEN_SECRET" required:"somewhere"`
	// A file that holds the token's secret and nothing else.
	TokenSecretFile string `yaml:"token_secret_file" env:"PROXMOX_TOKEN_SECRET_FILE" form:"path"`
	// Whether the server's certificate is checked. Without the check anybody in between can read the token; a fingerprint or CA
	// file turns it on.
	VerifyTLS bool `yaml:"verify_tls" env:"PROXMOX_VERIFY_SSL" derived:"true in a file or beside a fingerprint or CA file; false in an environment alone"`
	// A PEM file with the CA that signed the server's certificate; /etc/pve/pve-root-ca.pem of any node.
	CAFile string `yaml:"ca_file" env:"PROXMOX_CA_FILE" form:"path"`
	// SHA-256 of the server's certificate: the one to accept, whoever signed it. Several, separated by commas, for several nodes.
	Fingerprint string `yaml:"fingerprint" env:"PROXMOX_FINGERPRINT" form:"fingerprint"`
	// The resource pool that VMs are put into; the token's permissions can be bound to it.
	ResourcePool string `yaml:"resource_pool" env:"PROXMOX_POOL" form:"resource_pool"`
	// Where ISO images and snippets go. Not where clones go: that is the template's storage, or a pool's.
	Storage string `yaml:"storage" env:"PROXMOX_STORAGE" default:"local" form:"storage" handoff:"iso snippet"`
}

// FileGitHub is the key "github".
type FileGitHub struct {
	// Where the REST API is.
	APIURL string `yaml:"api_url" env:"GITHUB_API_URL" default:"https://api.github.com" form:"api_url"`
	// A fine-grained token with Actions and Administration, both read and write, on the repositories of the pools. Better in a file of
	// its own.
	Token runner.Secret `yaml:"token" env:"GITHUB_TOKEN" required:"somewhere"`
	// A file that holds the token and nothing else.
	TokenFile string `yaml:"token_file" env:"GITHUB_TOKEN_FILE" form:"path"`
	// The least time between two requests that change something: each job takes one. GitHub asks for a second; a GitHub Enterprise
	// Server without rate limits bears less, and the fleet then grows faster than one runner a second.
	Pace Duration `yaml:"pace" env:"GITHUB_PACE" default:"1s" min:"10ms" max:"1m"`
}

// FileVMIDs is the key "vmids".
type FileVMIDs struct {
	// The first VMID.
	Start int `yaml:"start" env:"RUNNER_ID_START" default:"200" min:"100" max:"999999999"`
	// The last VMID. The range needs room for max_runners; twice as many lets VMIDs rest before they are used again.
	End int `yaml:"end" env:"RUNNER_ID_END" default:"299" min:"100" max:"999999999"`
}

// FilePool is one element of the key "pools".
type FilePool struct {
	// Names the pool in logs, tags and /readyz.
	Name string `yaml:"name" required:"always" form:"pool" derived:"required; in an environment alone the repository's name, in lower case"`
	// The repository whose jobs it serves.
	Target string `yaml:"target" form:"target" derived:"this or targets is required; in an environment alone what REPO_OWNER, REPO_NAME and REPO_URL say"`
	// Several repositories whose jobs it serves, instead of target. A runner is registered at one of them when it gets its identity:
	// the one whose job waits longest. A booted spare serves any; a runner of min_idle is the first's, and makes room when a job of
	// another waits for it.
	Targets []string `yaml:"targets" form:"target"`
	// What its runners offer beside self-hosted, compared without regard to case.
	Labels []string `yaml:"labels" env:"RUNNER_LABELS" form:"label" derived:"required unless accept_unlabeled; in an environment alone energyplus, linux, x64, ubuntu-22.04"`
	// Whether it also takes jobs without labels, as runs-on with only a group gives them.
	AcceptUnlabeled bool `yaml:"accept_unlabeled" default:"false"`
	// The runner group that runners join. 1 is Default, the only one of a repository.
	RunnerGroupID int `yaml:"runner_group_id" default:"1" min:"1" max:"2147483647"`
	// Begins the name of the pool's runners.
	NamePrefix string `yaml:"name_prefix" form:"prefix" derived:"the name_prefix at the top"`
	// The name of the VM template.
	Template string `yaml:"template" env:"TEMPLATE_NAME" form:"vm" derived:"ubuntu-2204-runner-template, unless image is set"`
	// An image that Mayfly builds (mayfly image build), instead of a template: the pool follows its promoted version.
	Image string `yaml:"image" env:"TEMPLATE_IMAGE" form:"image"`
	// The nodes that its runners live on, of those in proxmox.nodes.
	Nodes []string `yaml:"nodes" form:"node" derived:"all of proxmox.nodes"`
	// Which jobs may run on it. No VM is made for others, and one that lands on a runner all the same ends before its first step.
	Jobs FileJobs `yaml:"jobs"`
	// How many VMs the pool may have at once.
	Max int `yaml:"max" min:"1" max:"10000" derived:"max_runners"`
	// Which pool's jobs come first when there isn't room for all: those of the highest priority, then the oldest. A pool with many
	// jobs and a high priority can starve others; share is the cure.
	Priority int `yaml:"priority" derived:"0" min:"-100" max:"100"`
	// How much of max_runners, in percent and rounded down, is kept for this pool while jobs of it wait. While none do, or no runner
	// can be made for it, others may have that room, and nothing is taken from them again before their jobs end. The shares of all
	// pools add up to 100 at most; max bounds a share, too.
	Share int `yaml:"share" derived:"0" min:"0" max:"100"`
	// The unprivileged user in the VM that runs the job.
	RunnerUser string `yaml:"runner_user" env:"RUNNER_USER" default:"runner" form:"user"`
	// CPU cores of each VM.
	Cores int `yaml:"cores" min:"1" max:"768" derived:"the template's"`
	// Memory of each VM.
	Memory Size `yaml:"memory" derived:"the template's"`
	// Size of the disk that each VM boots from. It can only be larger than the template's: disks don't shrink. The guest grows its file
	// system when it boots; an image of Mayfly's does.
	Disk Size `yaml:"disk" derived:"the template's"`
	// Whether VMs are full copies of the template instead of linked clones: slow, and independent of its storage.
	FullClone bool `yaml:"full_clone" default:"false"`
	// The storage of full clones.
	Storage string `yaml:"storage" form:"storage" derived:"the template's"`
	// How long a VM may take from clone to ready. GitHub takes a job back from a runner that doesn't come within 5 minutes.
	BootTimeout Duration `yaml:"boot_timeout" default:"5m" min:"10s" max:"1h"`
	// How long a runner may wait for a job when neither a job nor min_idle or booted_spares ask for it any more.
	IdleTimeout Duration `yaml:"idle_timeout" default:"10m" min:"10s" max:"24h"`
	// How many registered runners wait for a job beside those for the jobs that wait now: a job starts on one within seconds.
	MinIdle int `yaml:"min_idle" default:"0" min:"0" max:"10000"`
	// When another number of them holds: five cron fields, = and the number that holds in every minute they match. The first rule that
	// matches counts, min_idle where none does.
	MinIdleSchedule []string `yaml:"min_idle_schedule" form:"warm_rule" derived:"min_idle at all times"`
	// How many VMs are up without being registered at GitHub: a job that comes gets one and needn't wait for a boot. Only the agent
	// hand-off has them.
	BootedSpares int `yaml:"booted_spares" default:"0" min:"0" max:"10000"`
	// When another number of them holds; see min_idle_schedule.
	BootedSparesSchedule []string `yaml:"booted_spares_schedule" form:"warm_rule" derived:"booted_spares at all times"`
	// How old a booted spare or an idle runner gets before a new one takes its place, a quarter less at times, so that they don't all
	// go at once.
	SpareMaxAge Duration `yaml:"spare_max_age" default:"24h" min:"10m" max:"720h"`
	// The time zone of the two schedules.
	TimeZone string `yaml:"time_zone" default:"UTC" form:"time_zone"`
	// How long a VM may live with its job. GitHub's own limit is 5 days.
	MaxJobDuration Duration `yaml:"max_job_duration" default:"6h" min:"1m" max:"120h"`
}

// FileJobs is the key "jobs" of a pool.
type FileJobs struct {
	// The repositories whose jobs may run; the target must be one of them.
	Repositories []string `yaml:"repositories" form:"target" derived:"the target"`
	// The events that may start a job, as GitHub names them, for example push.
	Events []string `yaml:"events" env:"RUNNER_EVENTS" form:"event" derived:"any"`
	// Whether jobs may run whose code is a fork's: anybody can open a pull request in a public repository, and it brings its own
	// workflow. See docs/security.md before you allow it.
	Forks string `yaml:"forks" env:"RUNNER_FORKS" default:"deny" oneof:"deny allow"`
}

// FileWeb is the key "web".
type FileWeb struct {
	// The address to listen on.
	Listen string `yaml:"listen" default:"127.0.0.1:9180" form:"listen"`
	// Lets listen be an address that other machines reach. Nothing secret is shown there, but nobody is asked who they are either.
	AllowRemote bool `yaml:"allow_remote" default:"false"`
}

// FileLog is the key "log".
type FileLog struct {
	// How much is said; debug is every step, info every change.
	Level string `yaml:"level" default:"info" oneof:"debug info warn error"`
	// For people or for machines.
	Format string `yaml:"format" default:"text" oneof:"text json"`
}
