package proxmox

import (
	"net/http"
	"regexp"
	"strings"
)

// daemonDown are words of a node whose cluster file system or daemon is not (yet) there. Nothing was executed.
var daemonDown = regexp.MustCompile(`RPCEnvironment init request failed|ipcc_send_rec`)

// phrase recognizes one of Proxmox's texts. They come as 500s and as tasks' exit statuses alike.
type phrase struct {
	words *regexp.Regexp
	kind  Kind
	hint  string
}

// phrases in order of precedence. Recorded from Proxmox VE 9.2 except where a comment says otherwise.
var phrases = []phrase{
	{daemonDown, Unavailable, "the node's pve-cluster service is down"},
	{
		regexp.MustCompile(`is locked \((?:clone|create|destroyed)\)`), Locked,
		"left by a task that was killed, unless one still runs; no token can unlock it: on its node run qm unlock VMID",
	},
	{regexp.MustCompile(`is locked \([^)]*\)`), Locked, "wait until that is over"},
	{regexp.MustCompile(`protection mode enabled`), Locked, "set the VM's protection to 0"},
	{
		regexp.MustCompile(`^unable to create (?:VM|CT) \d+(?:: config file already exists| - (?:VM|CT) \d+ already exists)|` +
			`^(?:VM|CT) \d+ already exists|'/etc/pve/nodes/[^']+\.conf' failed: File exists`), Exists, "take another VMID",
	},
	{regexp.MustCompile(`^(?:VM|CT) \d+ already running`), Exists, ""},
	{regexp.MustCompile(`no quorum`), Unavailable, "the cluster has lost its quorum"},
	{
		// pve-http-server AnyEvent.pm, file_upload_multipart.
		regexp.MustCompile(`^write to temporary file failed`), TaskFailed,
		"an upload arrives in /var/tmp of the node that is asked: free space there, or set PROXMOX_URL to another node",
	},
	{
		// cfs-lock and storage-lock texts: pve-cluster Cluster.pm, cfs_lock; pve-common Tools.pm, lock_file_full.
		regexp.MustCompile(`can't (?:\w+ )?lock.*got timeout|cfs-lock '[^']*' error|got lock (?:request )?timeout|-locked command timed out`),
		Busy, "try again after a pause",
	},
	{
		regexp.MustCompile(`^checksum mismatch \(file change|detected modified configuration`), Busy,
		"somebody else has changed it: read it again",
	},
	{
		regexp.MustCompile(`^Configuration file 'nodes/[^']+' does not exist|unable to find configuration file for (?:VM|CT) \d+`),
		NotFound, "it is gone, or on another node: see /cluster/resources",
	},
	{regexp.MustCompile(`Permission check failed|nly root can`), Permission, ""},
	{
		// pve-common Tools.pm, download_file_from_url.
		regexp.MustCompile(`^refusing to override existing file|^checksum mismatch: got .* aborting$`), Exists,
		"a file of that name is there: delete it, or give the checksum that it has",
	},
}

// atOnce are texts that mean something only as an immediate answer.
var atOnce = []phrase{
	{regexp.MustCompile(`^storage '[^']*' does not exist`), NotFound, "check the storage's name"},
	{regexp.MustCompile(`^pool '[^']*' does not exist`), NotFound, "check PROXMOX_POOL"},
	{regexp.MustCompile(`^no such cluster node|^hostname lookup '[^']*' failed`), NotFound, "check the node's name"},
	{regexp.MustCompile(`^address lookup for '[^']*' did not find`), Unavailable, "the node is down"},
	{regexp.MustCompile(`^mapping '[^']*' not found|directory mapping failed: dir ID '[^']*' does not exist`), NotFound, "check the mapping's name"},
	{regexp.MustCompile(`directory mapping failed: dir ID '[^']*' already defined`), Exists, ""},
	{regexp.MustCompile(`unable to open file '/etc/pve/mapping/`), BadParameter, "on a node run mkdir -p /etc/pve/mapping"},
	{regexp.MustCompile(`is running - destroy failed|^unable to destroy CT \d+ - container is running`), Busy, "stop it first"},
	{regexp.MustCompile(`^No QEMU guest agent configured`), BadParameter, "set agent: enabled=1 in the template and start the VM anew"},
	{regexp.MustCompile(`^QEMU guest agent is not running`), Unavailable, "wait for the guest to boot; qemu-guest-agent must be in the template"},
	{regexp.MustCompile(`^(?:VM|CT) \d+ (?:is )?not running`), Unavailable, "start it"},
	{regexp.MustCompile(`^Agent error: Invalid parameter 'pid'`), Unavailable, "the agent tells of an exited command once only"},
	{regexp.MustCompile(`^Agent error: .*No such file or directory`), NotFound, ""},
	// qemu-ga's words for a command that its configuration blocks (qga/commands.c, not recorded).
	{regexp.MustCompile(`^Agent error: .*has (?:been disabled|not been found)`), BadParameter, "let the guest's qemu-guest-agent have the command"},
	{
		regexp.MustCompile(`^can't clone |^Linked clone feature|not allowed for linked clones|^volume '[^']*' does not exist|` +
			`^Only root can pass|^you can't |^can't upload to storage type`), BadParameter, "",
	},
	{
		regexp.MustCompile(`^storage '[^']*' (?:does not support '[^']*' content|is not configured for content-type)`), BadParameter,
		"let the storage take that content: pvesm set STORAGE --content …, or another storage",
	},
}

var (
	// clusterFile is a write to /etc/pve that was refused, which without quorum every write is.
	clusterFile = regexp.MustCompile(`unable to open file '/etc/pve/.*(?:Permission denied|Read-only file system)`)
	// taskList is what a POST fails with when the list of active tasks stays locked although its task runs already
	// (pve-common RESTEnvironment.pm, active_workers).
	taskList = regexp.MustCompile(`/tasks/\.active\.lock'.*got timeout`)
	// agentSilent: the agent was alive for the ping and then didn't answer the command in time.
	agentSilent = regexp.MustCompile(`qga command '[^']*' failed - got timeout|qmp command 'guest-[^']*' failed - got timeout`)
)

func find(list []phrase, words string) (phrase, bool) {
	for _, p := range list {
		if p.words.MatchString(words) {
			return p, true
		}
	}
	return phrase{}, false
}

// sync500 reads the text of a 500.
func sync500(r call, words string) (Kind, string) {
	switch {
	case taskList.MatchString(words) && !r.reads():
		return MaybeHappened, "its task may run: look for it"
	case agentSilent.MatchString(words) && r.exec:
		return MaybeHappened, "the guest may run it: ask the guest"
	case agentSilent.MatchString(words):
		return Unavailable, "the guest agent is slow"
	case clusterFile.MatchString(words):
		return Unavailable, "the cluster has lost its quorum"
	}
	for _, list := range [][]phrase{phrases, atOnce} {
		if p, ok := find(list, words); ok {
			return p.kind, p.hint
		}
	}
	if r.method == http.MethodGet {
		return Unavailable, ""
	}
	return TaskFailed, ""
}

// taskText reads the exit status of a failed task of the given type.
func taskText(typ, exit string) (Kind, string) {
	switch {
	case exit == "":
		return TaskFailed, "it ended without a word: look what there is"
	case exit == "unexpected status":
		return TaskFailed, "its worker was killed: look what it has left"
	case afterward.MatchString(exit):
		return TaskFailed, "look what it has left"
	case clusterFile.MatchString(exit):
		// It had begun, so it isn't Unavailable; with quorum the same again succeeds.
		return Busy, "the cluster has lost its quorum"
	}
	p, ok := find(phrases, exit)
	switch {
	case !ok:
		return TaskFailed, ""
	case typ == "qmclone" && p.kind == Busy && !guestLock.MatchString(exit):
		// A cluster lock that times out in a clone can leave its config behind, locked or outside the pool
		// (qemu-server Qemu.pm, clone_vm): more than "try again".
		return TaskFailed, "look what it has left, and try again after a pause"
	case p.kind == Unavailable && !strings.HasPrefix(exit, "cluster not ready"):
		return Busy, p.hint // it had begun
	}
	return p.kind, p.hint
}

var (
	// afterward are failures of a clone or a removal that had changed something by then.
	afterward = regexp.MustCompile(`^clone failed: |^can't add VM \d+ to pool|^access permissions cleanup`)
	// guestLock is the lock that a clone takes before anything else, its template's or its own.
	guestLock = regexp.MustCompile(`lock file '/var/lock/qemu-server/`)
)
