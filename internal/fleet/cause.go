package fleet

import (
	"context"
	"errors"

	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Cause is why something failed, from a closed list: words of errors vary, and metrics can't bear that.
type Cause string

// The causes beside those that Proxmox and GitHub answer with.
const (
	// CauseTimeout: a deadline passed.
	CauseTimeout Cause = "timeout"
	// CauseImage: the guest can't become a runner, whatever is tried.
	CauseImage Cause = "image"
	// CauseTaken: the guest has another identity already.
	CauseTaken Cause = "identity_taken"
	// CauseNoJob: its listener ended without having had a job.
	CauseNoJob Cause = "no_job"
	// CauseDeprecated: GitHub refuses the release of the Actions runner in the image.
	CauseDeprecated Cause = "runner_deprecated"
	// CauseHalted: the VM's processors stand still.
	CauseHalted Cause = "vm_halted"
	// CauseUnregistered: its registration went though its job had not ended, or it goes on after both have.
	CauseUnregistered Cause = "registration_gone"
	// CauseRestart: its identity was minted before a restart of the dispatcher and never arrived, or its VM was being stopped then.
	CauseRestart Cause = "restart"
	// CauseOther: none of the others.
	CauseOther Cause = "other"
)

// kinds are the causes that an error's kind names, the first that fits.
var kinds = []struct {
	kind  error
	cause Cause
}{
	{handoff.ErrImage, CauseImage},
	{handoff.ErrTaken, CauseTaken},
	{proxmox.MaybeHappened, "proxmox_reply_lost"},
	{proxmox.TaskFailed, "proxmox_task_failed"},
	{proxmox.NotFound, "proxmox_not_found"},
	{proxmox.Exists, "proxmox_exists"},
	{proxmox.Locked, "proxmox_locked"},
	{proxmox.Busy, "proxmox_busy"},
	{proxmox.Unauthorized, "proxmox_unauthorized"},
	{proxmox.Permission, "proxmox_permission"},
	{proxmox.BadParameter, "proxmox_refused"},
	{proxmox.Untrusted, "proxmox_untrusted"},
	{proxmox.Unavailable, "proxmox_unavailable"},
	{github.MaybeHappened, "github_reply_lost"},
	{github.RateLimited, "github_rate_limited"},
	{github.NotFound, "github_not_found"},
	{github.Busy, "github_busy"},
	{github.Exists, "github_exists"},
	{github.Unauthorized, "github_unauthorized"},
	{github.Permission, "github_permission"},
	{github.Invalid, "github_refused"},
	{github.Unavailable, "github_unavailable"},
	{context.DeadlineExceeded, CauseTimeout},
}

// Causes lists all causes.
func Causes() []Cause {
	list := []Cause{}
	for _, k := range kinds[:len(kinds)-1] { // the last is CauseTimeout's
		list = append(list, k.cause)
	}
	return append(list, CauseTimeout, CauseNoJob, CauseDeprecated, CauseHalted, CauseUnregistered, CauseRestart, CauseOther)
}

// causeOf names the cause of an error.
func causeOf(err error) Cause {
	for _, k := range kinds {
		if errors.Is(err, k.kind) {
			return k.cause
		}
	}
	return CauseOther
}

// noJobCause names why a runner ended without a job.
func noJobCause(r runner.Result) Cause {
	if r.Outcome == outcomeDeprecated {
		return CauseDeprecated
	}
	return CauseNoJob
}
