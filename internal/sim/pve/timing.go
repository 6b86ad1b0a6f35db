package pve

import "time"

// Timing is how long things take. A zero duration is "at once"; use [DefaultTiming] or [DemoTiming] and change fields.
type Timing struct {
	// LinkedClone and FullClone are how long a clone worker works beside what the engine takes.
	LinkedClone time.Duration
	FullClone   time.Duration
	// Start, Stop and Destroy are the same for qmstart, qmstop and qmdestroy.
	Start   time.Duration
	Stop    time.Duration
	Destroy time.Duration
	// Config is how long a config change holds the VM's lock.
	Config time.Duration
	// Broadcast is how often a node tells the cluster its VMs' status, name and figures (pvestatd: 10 s).
	Broadcast time.Duration
	// AgentTimeout is how long the ping before each agent command waits (3 s), AgentCommand how long the command
	// itself may take (5 s).
	AgentTimeout time.Duration
	AgentCommand time.Duration
	// AuthFailure is the delay before each 401 (3 s).
	AuthFailure time.Duration
	// LockTimeout is the wait for a VM's lock file (10 s), CloneLockTimeout the clone worker's (1 s).
	LockTimeout      time.Duration
	CloneLockTimeout time.Duration
	// ShutdownTimeout is the default of status/shutdown (60 s).
	ShutdownTimeout time.Duration
	// ProxyTimeout is pveproxy's patience with a daemon worker before it answers 596 (30 s).
	ProxyTimeout time.Duration
	// StopGrace is how long a stopped task has to clean up before it is killed (5 s).
	StopGrace time.Duration
	// Workers is the number of daemon workers of a node (3): each runs one protected call at a time.
	Workers int
}

// DefaultTiming is Proxmox VE's own: timeouts as in its sources, durations as measured on one node with a
// directory storage (a linked clone 0.26 s, a full one 1.7 s).
func DefaultTiming() Timing {
	return Timing{
		LinkedClone:      260 * time.Millisecond,
		FullClone:        1700 * time.Millisecond,
		Start:            500 * time.Millisecond,
		Stop:             500 * time.Millisecond,
		Destroy:          300 * time.Millisecond,
		Config:           10 * time.Millisecond,
		Broadcast:        10 * time.Second,
		AgentTimeout:     3 * time.Second,
		AgentCommand:     5 * time.Second,
		AuthFailure:      3 * time.Second,
		LockTimeout:      10 * time.Second,
		CloneLockTimeout: time.Second,
		ShutdownTimeout:  60 * time.Second,
		ProxyTimeout:     30 * time.Second,
		StopGrace:        5 * time.Second,
		Workers:          3,
	}
}

// DemoTiming is short enough for demonstrations and tests on a real clock: the same behaviour, about twenty times as
// fast.
func DemoTiming() Timing {
	return Timing{
		LinkedClone:      20 * time.Millisecond,
		FullClone:        80 * time.Millisecond,
		Start:            20 * time.Millisecond,
		Stop:             20 * time.Millisecond,
		Destroy:          20 * time.Millisecond,
		Config:           time.Millisecond,
		Broadcast:        500 * time.Millisecond,
		AgentTimeout:     150 * time.Millisecond,
		AgentCommand:     2 * time.Second,
		AuthFailure:      150 * time.Millisecond,
		LockTimeout:      500 * time.Millisecond,
		CloneLockTimeout: 100 * time.Millisecond,
		ShutdownTimeout:  3 * time.Second,
		ProxyTimeout:     5 * time.Second,
		StopGrace:        250 * time.Millisecond,
		Workers:          3,
	}
}
