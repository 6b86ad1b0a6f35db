package handoff

import (
	"errors"
	"time"
)

// The versions of the run-once contract (docs/run-once.md) that this package speaks. All of 1 is in 2.
const (
	OldestContract = 1
	Contract       = 2
)

// Script is where the guest keeps its half of the contract.
const Script = "/opt/actions-runner/run-once.sh"

// resultFile is what run-once.sh writes when the listener has ended. /run is a tmpfs.
const resultFile = "/run/mayfly/result.json"

var (
	// ErrNotReady says that the guest doesn't answer yet: it boots, or it hangs. Asking again later is right.
	ErrNotReady = errors.New("guest not ready")
	// ErrImage says that the guest answers but can't ever become a runner: run-once.sh is missing, broken or of
	// another contract. Only a new template mends that.
	ErrImage = errors.New("runner image unusable")
	// ErrTaken says that the guest already holds another identity.
	ErrTaken = errors.New("guest holds another identity")
)

// VM names a virtual machine: where it is and which one.
type VM struct {
	Node string
	VMID int
}

// State is how far a guest is, as run-once.sh --probe tells it.
type State string

// The states of a guest.
const (
	Ready     State = "ready"     // booted; may receive an identity
	Delivered State = "delivered" // has an identity, its listener runs
	Done      State = "done"      // its listener has ended; it will power off
)

// Guest is the answer of run-once.sh --probe.
type Guest struct {
	Contract      int    `json:"contract"`
	State         State  `json:"state"`
	Runner        string `json:"runner"`
	RunnerVersion string `json:"runner_version"`
	Image         string `json:"image"`
	// JobStarted is whether the listener has taken a job.
	JobStarted bool `json:"job_started"`
}

// AgentOptions adjusts [Agent]; zero values are the defaults.
type AgentOptions struct {
	// ExecTimeout bounds one command in the guest from start to its exit. Default 20 s: run-once.sh hands the
	// listener over and returns at once, but a guest that has just booted on a busy host is slow.
	ExecTimeout time.Duration
	// ExecPoll is how long to wait between two looks at a command in the guest. Default 250 ms.
	ExecPoll time.Duration
}
