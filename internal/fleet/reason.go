package fleet

// Code names why a job waits, for logs, metrics and programs; the words for people are beside it in [Reason].
type Code string

// Why a job waits.
const (
	// WaitAssign: a runner that fits is registered; GitHub assigns the job next.
	WaitAssign Code = "assigning"
	// WaitRunner: a runner for it is on its way.
	WaitRunner Code = "runner_starting"
	// WaitNoPool: no pool serves its labels.
	WaitNoPool Code = "no_pool_matches"
	// WaitPolicyRepository, WaitPolicyEvent and WaitPolicyFork: the pool's policy forbids the job (runner.Policy), so no VM
	// is spent on it. GitHub cancels it after a day.
	WaitPolicyRepository Code = "policy_repository"
	WaitPolicyEvent      Code = "policy_event"
	WaitPolicyFork       Code = "policy_fork"
	// WaitPoolMax and WaitTotalMax: a limit of the configuration is reached.
	WaitPoolMax  Code = "pool_at_max"
	WaitTotalMax Code = "total_at_max"
	// WaitShare: what room is left is kept for the share of another pool, whose jobs wait, too.
	WaitShare Code = "share_reserved"
	// WaitVMIDs: no VMID of the range is free.
	WaitVMIDs Code = "vmid_range_full"
	// WaitTemplate: the template isn't there, is on another node, is locked, or can't be used.
	WaitTemplate Code = "template_missing"
	// WaitNoTemplate: the pool follows an image, and no version of it is promoted on the node.
	WaitNoTemplate Code = "no_template"
	// WaitDeprecated: GitHub refuses the release of the Actions runner in the pool's template.
	WaitDeprecated Code = "runner_deprecated"
	// WaitUnfit: the template's guests can't become runners.
	WaitUnfit Code = "image_unusable"
	// WaitProxmox: Proxmox doesn't answer or refuses us.
	WaitProxmox Code = "proxmox_unreachable"
	// WaitGitHub and WaitGitHubLimit: GitHub doesn't answer, refuses us, or told us to wait.
	WaitGitHub      Code = "github_unreachable"
	WaitGitHubLimit Code = "github_rate_limited"
	// WaitBackoff: the pool's last runner failed; the next attempt comes later.
	WaitBackoff Code = "backoff"
	// WaitRetries: runners that were made for the job came to nothing, so the next ones are made ever more rarely.
	WaitRetries Code = "retries_spent"
	// WaitCheck: a runner was just used up; the queue is read again before another is made.
	WaitCheck Code = "checking_queue"
	// WaitCloneLimit: as many clones and destroys run on the storage as it should bear.
	WaitCloneLimit Code = "clone_limit"
	// WaitNode: no node has room, a template and no fault; the text says for each why not.
	WaitNode Code = "no_node_fits"
	// WaitCordoned: VMs kept failing on every node that could have it, or on its storage or template there, so that is left
	// alone for a while and then tried by one VM.
	WaitCordoned Code = "cordoned"
	// WaitStandby: another dispatcher that began earlier works on the installation, so this one makes no runner.
	WaitStandby Code = "standby"
	// WaitStopping: the controller is ending.
	WaitStopping Code = "stopping"
)

// Reason is why a job waits: a code and the words for people.
type Reason struct {
	Code Code   `json:"code"`
	Text string `json:"text"`
}
