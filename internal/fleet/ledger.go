package fleet

import (
	"time"

	"mayfly/internal/handoff"
	"mayfly/internal/runner"
)

// ledger is all that is kept between passes. Only the goroutine of Controller.Run touches it.
//
// Losing it (a restart) costs: an identity minted but not delivered is thrown away with its VM; a VMID's rest and a
// pool's back-off start anew; a node, storage or template that was cordoned or found at fault is tried a few times more; a
// job's reason is logged again. Runners and jobs are found again by observing.
type ledger struct {
	runners map[int]*entry // by VMID: every VM of ours, from the moment its clone is asked for until it is gone
	// lastUsed is when a VM last had a VMID.
	lastUsed map[int]time.Time
	// heldBack are VMIDs that turned out to be taken by something the token can't see; until when they are left alone.
	heldBack map[int]time.Time
	// quarantined are VMIDs whose VM only an admin can mend.
	quarantined map[int]Quarantine
	// turn is when a pool last lost a runner that could have taken a job: demand read before says nothing any more.
	turn map[string]time.Time
	// backoff is a pool's wait after failures.
	backoff map[string]backoff
	// refusals are the waits of repositories that gave a runner no identity, whose pools have others, too.
	refusals map[runner.Target]backoff
	// circuits is what is known against templates, by VMID.
	circuits map[int]circuit
	// cordons is what is known against nodes, storages and templates' copies.
	cordons map[thing]cordon
	// booted is when a guest last came up, where runners live on several nodes.
	booted map[bootedOn]time.Time
	// abouts is what guests tell of the templates that they came from, by VMID, where no marker does.
	abouts map[int]handoff.About
	// orphans is since when a registration of ours is seen without a VM.
	orphans map[int64]orphan
	// sweeps are when runners that were up were destroyed, within the last sweepWindow.
	sweeps []time.Time
	// rogues are registrations that take our jobs or our names, and that nobody here made.
	rogues map[int64]rogue
	// removals are registrations that GitHub still called busy when their VM was gone already.
	removals map[int64]removal
	// bootTimes are the templates' usual times from start to ready, by runner.Pool.Base.
	bootTimes map[string]time.Duration
	// answers is how many guests of a node, by its name, have answered a probe in a row, up to a limit.
	answers map[string]int
	// attempts are the runners that were made in vain for a job that waits, by the job's id.
	attempts map[int64]attempts
	// waiting is what was last said of each waiting job.
	waiting map[int64]Code
	// process is this one's own, and rivals are the others that work on our installation, by their id.
	process runner.Process
	rivals  map[string]*rival
	// lastMade is when a clone of this process was last complete.
	lastMade time.Time
}

// entry is what the ledger knows of one runner.
type entry struct {
	vmid int
	name string
	pool string
	node string
	// template is the VMID that it was cloned from; 0 when nobody knows (found after a restart, from before markers told).
	template int
	source   string         // the node that cloned it, where this process asked for that; else it counts as its own
	process  runner.Process // that made it, as its marker tells; zero where this one has
	// made is its pool as it was when a reload changed that; nil while its pool is as it was.
	made     *runner.Pool
	outdated bool      // it is registered with what its pool has no longer
	shape    string    // the key of its shape; "" where its marker was written before that was noted
	created  time.Time // from the marker, so that a restart doesn't reset a deadline

	// op is the step in flight; nil when none is. At most one step works on a runner.
	op *operation

	// Milestones; zero until reached. Those of a runner found after a restart are when it was found.
	cloned     time.Time
	configured time.Time
	seeded     time.Time // its identity waits in its user-data
	way        Way       // by which it gets its identity, as chosen when it was cloned
	medium     bool      // there may be a medium with its identity
	started    time.Time
	ready      time.Time
	delivered  time.Time
	online     time.Time // its registration was first seen online
	busy       time.Time // a job was first seen on it
	kept       time.Time // wanted last as one of its pool's warm runners
	finished   time.Time // the guest said that its listener ended
	stopped    time.Time // seen powered off after it was started

	registration  int64         // GitHub's id, once minted or seen
	target        runner.Target // where the registration was seen or asked for
	minting       bool          // an identity was asked for, so that a registration may exist
	offline       bool          // it was online, and the last list says that it isn't
	runnerVersion string        // as its guest tells it
	contract      int           // the run-once contract that its guest speaks, once it was asked
	job           int64
	wantedBy      int64 // the job that it was made for
	result        runner.Result
	adopted       bool      // found after a restart
	asked         int       // how often it was asked whether it is ready
	probed        bool      // asked since then whether it is ready
	ending        bool      // found by the task that destroys it
	guestBusy     bool      // the guest, asked because the registration was missing, still works
	missingSince  time.Time // its registration was missing from the list since then
	dropped       bool      // and a look-up by id says so too
	missingVM     time.Time // it was missing from Proxmox's list since then
	halted        time.Time // Proxmox shows that its processors stand still since then
	jobOver       time.Time // its job was missing from GitHub's list of open jobs since then

	ejectTries int       // failures to take the medium away, in a row
	ejectAfter time.Time // no next try before

	swept    bool      // its end is counted in the ledger's sweeps
	ends     string    // what it is being destroyed for
	failed   string    // why it must go; "" while all is well
	notUntil time.Time // no next step before (a failed step's back-off, a probe's time)
	tries    int       // failures of the present step in a row
	lastWord string    // the last error of a step, for people
	told     told      // what the observer has heard of it
}

// operation is a step in flight.
type operation struct {
	step  Step
	since time.Time
	until time.Time
}

// Quarantine is a VMID set aside and what the admin has to type.
type Quarantine struct {
	VMID    int       `json:"vmid"`
	Node    string    `json:"node"`
	Why     string    `json:"why"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
	// hidden is whether the token can't see the VM, so that only its VMID tells whether it is still there.
	hidden bool
}

// orphan is a registration that is provably ours, offline and without a VM.
type orphan struct {
	target runner.Target
	name   string
	since  time.Time
}

// removal is a registration to be removed when GitHub lets go of its job.
type removal struct {
	target runner.Target
	name   string
	since  time.Time
	next   time.Time
	// spent is its runner, where that is gone and had no job unless GitHub has removed the registration with it.
	spent *entry
}

func newLedger() *ledger {
	return &ledger{
		runners:     map[int]*entry{},
		lastUsed:    map[int]time.Time{},
		heldBack:    map[int]time.Time{},
		quarantined: map[int]Quarantine{},
		turn:        map[string]time.Time{},
		backoff:     map[string]backoff{},
		refusals:    map[runner.Target]backoff{},
		circuits:    map[int]circuit{},
		cordons:     map[thing]cordon{},
		booted:      map[bootedOn]time.Time{},
		abouts:      map[int]handoff.About{},
		orphans:     map[int64]orphan{},
		rogues:      map[int64]rogue{},
		removals:    map[int64]removal{},
		bootTimes:   map[string]time.Duration{},
		answers:     map[string]int{},
		attempts:    map[int64]attempts{},
		waiting:     map[int64]Code{},
		rivals:      map[string]*rival{},
	}
}

// keep notes that these runners are wanted though no job waits for them.
func (l *ledger) keep(vmids []int, now time.Time) {
	for _, id := range vmids {
		if e := l.runners[id]; e != nil {
			e.kept = now
		}
	}
}
