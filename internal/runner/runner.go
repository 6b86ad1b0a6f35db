package runner

import "time"

// State is where a runner is in its life.
type State string

// The states, in the order a runner goes through them. Failed may follow any of them and always leads to Destroying.
const (
	Planned     State = "planned"
	Cloning     State = "cloning"
	Configuring State = "configuring"
	Booting     State = "booting"
	Registering State = "registering"
	Idle        State = "idle"
	Busy        State = "busy"
	Draining    State = "draining"
	Destroying  State = "destroying"
	Gone        State = "gone"
	Failed      State = "failed"
)

// CanTakeJob reports whether a runner in this state can still take a job: it counts as supply.
func (s State) CanTakeJob() bool {
	switch s {
	case Planned, Cloning, Configuring, Booting, Registering, Idle:
		return true
	}
	return false
}

// Registration is a runner as GitHub lists it (schema "runner" of GET /repos/{owner}/{repo}/actions/runners).
type Registration struct {
	ID     int64
	Name   string
	Online bool
	Busy   bool
	Labels []string
}

// Identity is what makes a booted VM a runner: good for one runner and one job, never given to a second VM.
type Identity struct {
	// RegistrationID is GitHub's id of the runner.
	RegistrationID int64
	// Name is the runner's name, the VM's too.
	Name string
	// JITConfig is GitHub's encoded_jit_config. It holds a private key.
	JITConfig Secret
	// MintedAt is when GitHub made it; unused it is discarded after 2 minutes.
	MintedAt time.Time
}

// Result is what the guest says of its one job: /run/mayfly/result.json, written by run-once.sh.
type Result struct {
	Runner     string    `json:"runner"`
	ExitCode   int       `json:"exit_code"`
	Outcome    string    `json:"outcome"`
	JobStarted bool      `json:"job_started"`
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
}
