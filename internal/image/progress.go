package image

import (
	"sync"
	"time"
)

// Stage is a part of a build, in the order of their coming.
type Stage string

// The stages. Failed and Done end a node's part.
const (
	StageResolve  Stage = "resolve"   // which image, which checksum, which runner
	StageSweep    Stage = "sweep"     // what an earlier build left
	StageDownload Stage = "download"  // the vendor's image comes to the node
	StageUpload   Stage = "upload"    // from here
	StageSeed     Stage = "seed"      // the scripts, as a cloud-init image
	StageCreate   Stage = "create"    // the VM, its disk imported
	StageInstall  Stage = "provision" // the scripts run in it
	StageTemplate Stage = "template"
	StageCheck    Stage = "check" // the canary boots
	StagePromote  Stage = "promote"
	StagePrune    Stage = "prune"
	StageCleanUp  Stage = "clean up"
	StageDone     Stage = "done"
	StageFailed   Stage = "failed"
)

// Event tells how far a build is.
type Event struct {
	Image, Version string
	// Node is "" for what is done once for all nodes.
	Node  string
	Stage Stage
	// Began is when the stage did.
	Began time.Time
	// Done and Total are bytes, where the stage moves some; Total is 0 while it isn't known.
	Done, Total int64
	// Text says more: the script's last line, what failed.
	Text string
	// New marks the first event of a stage; the others tell how it goes on.
	New bool
}

// reporter passes events on, one at a time.
type reporter struct {
	mu sync.Mutex
	to func(Event)
}

func (r *reporter) tell(e Event) {
	if r.to == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to(e)
}

// teller tells of one image on one node.
type teller struct {
	r     *reporter
	event Event
}

// stage begins a stage.
func (t *teller) stage(s Stage, text string) {
	t.event.Stage, t.event.Began, t.event.Text = s, time.Now(), text
	t.event.Done, t.event.Total, t.event.New = 0, 0, true
	t.r.tell(t.event)
	t.event.New = false
}

// bytes tells how much of the stage's bytes have been moved.
func (t *teller) bytes(done, total int64) {
	t.event.Done, t.event.Total = done, total
	t.r.tell(t.event)
}

// says passes a line on.
func (t *teller) says(text string) {
	if text == t.event.Text || text == "" {
		return
	}
	t.event.Text = text
	t.r.tell(t.event)
}
