package fleet

import "time"

// Observer hears how the fleet gets on, in figures: nothing that it is told names a runner or a job. It is called from the
// controller's own goroutine, so it must not block.
type Observer interface {
	// Passed tells that a stage of a runner's or a job's life is over.
	Passed(p Passage)
	// Failed tells that something went wrong, whether or not it is tried again.
	Failed(f Failure)
	// Polled tells that a source was asked.
	Polled(p Poll)
}

// Stage is a stretch of a job's or a runner's life. Its value names it in metrics.
type Stage string

// The stages in their order. Queue is the whole of what a job waits; the others follow one another, where a hand-off before
// the start (iso, snippet) leaves out StageBoot and StageRegister: their time is part of StageConnect then.
const (
	// StageSee: from a job's creation at GitHub until a reading of the queue has it.
	StageSee Stage = "see"
	// StageQueue: from a job's creation at GitHub until a reading shows that one of our runners has it.
	StageQueue Stage = "queue"
	// StageClone: from the decision to make a runner until its clone is complete.
	StageClone Stage = "clone"
	// StageConfigure: until the clone has its size, network and tags.
	StageConfigure Stage = "configure"
	// StageStart: until Proxmox says that the VM runs.
	StageStart Stage = "start"
	// StageBoot: until the guest says that it is ready.
	StageBoot Stage = "boot"
	// StageRegister: until the guest has its identity. A VM that is up before a job wants it waits here.
	StageRegister Stage = "register"
	// StageConnect: until a reading of GitHub shows the runner online, or a job on it.
	StageConnect Stage = "connect"
	// StageAssign: until a job is seen on it.
	StageAssign Stage = "assign"
	// StageJob: until the job is over as far as the guest, Proxmox or GitHub tells.
	StageJob Stage = "job"
	// StageDestroy: until the VM is gone.
	StageDestroy Stage = "destroy"
)

// Stages lists all stages in their order.
func Stages() []Stage {
	return []Stage{
		StageSee, StageQueue, StageClone, StageConfigure, StageStart, StageBoot, StageRegister, StageConnect, StageAssign, StageJob, StageDestroy,
	}
}

// StageResult is how a stage ended.
type StageResult string

// How stages end. A job's conclusion isn't among them: it is GitHub's, and a job that fails by itself has gone well as far as
// its runner is concerned.
const (
	// ResultOK: it reached its end.
	ResultOK StageResult = "ok"
	// ResultFailed: the runner was given up in it.
	ResultFailed StageResult = "failed"
	// ResultUnused: nothing was wrong, but nobody needed the runner any more.
	ResultUnused StageResult = "unused"
)

// Passage is a stage that is over. Pool and Node are "" where they aren't known, as the node of a job that no runner has yet.
type Passage struct {
	Stage  Stage
	Pool   string
	Node   string
	Result StageResult
	Took   time.Duration
}

// Failure is something that went wrong.
type Failure struct {
	// Stage is where the runner was in its life.
	Stage Stage
	Cause Cause
	Pool  string
	Node  string
}

// The sources that are polled.
const (
	SourceProxmox = "proxmox"
	SourceGitHub  = "github"
)

// Poll is one question to a source.
type Poll struct {
	Source string // SourceProxmox or SourceGitHub
	// Target is the GitHub target that was read; "" for Proxmox.
	Target string
	At     time.Time // when the answer was taken up
	OK     bool
}

// nobody is the observer where none is wanted.
type nobody struct{}

func (nobody) Passed(Passage) {}
func (nobody) Failed(Failure) {}
func (nobody) Polled(Poll)    {}
