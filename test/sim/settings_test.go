package sim

import (
	"fmt"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/runner"
	standin "mayfly/internal/sim/world"
)

// settings are what a world is like; all of it follows from its seed.
type settings struct {
	nodes    []string // of the cluster, the home node first
	ours     []string // those that runners may live on; none is the home node alone
	ends     int      // how many of the nodes the dispatcher knows addresses of
	shared   bool     // one template on a storage that all nodes see; else each has its own
	place    fleet.Placement
	runners  int           // at once
	pools    int           // of runners, each with a label of its own
	idle     int           // runners of each pool that wait for a job
	spares   int           // booted ones beside
	lease    bool          // two dispatchers take turns
	iso      bool          // the identity comes on a medium, before the start; else by the guest agent
	troubled time.Duration // for how long jobs come and things go wrong; then all must come right
	perHour  float64       // jobs
	lasting  time.Duration // of a usual job
	faults   float64       // of a thousand changes
	guests   int           // of a hundred, those that misbehave
	boot     time.Duration
	assign   time.Duration
	supply   time.Duration // between two looks at Proxmox
	poll     time.Duration // between two at GitHub
	// events are what a test has happen besides, from the world's beginning on; nil for nothing.
	events func(w *world, born time.Time) []event
}

// settingsOf makes them.
func settingsOf(seed uint64, troubled time.Duration) settings {
	pick := func(what string, from ...int) int { return from[between(0, len(from)-1, seed, what)] }
	s := settings{
		runners: pick("runners", 1, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60), troubled: troubled, faults: float64(pick("faults", 0, 5, 15, 15, 30, 60)),
		guests: pick("guests", 0, 0, 2, 5, 10), boot: time.Duration(between(6, 30, seed, "boot")) * time.Second,
		assign: time.Duration(pick("assign", 0, 1, 3, 10)) * time.Second, lasting: time.Duration(pick("lasting", 15, 60, 180, 400)) * time.Second,
		supply: time.Duration(pick("supply", 2, 5, 10, 10, 10, 10, 10, 10, 10, 10)) * time.Second, poll: time.Duration(pick("poll", 15, 30, 30)) * time.Second,
	}
	for i := range pick("nodes", 1, 1, 2, 3, 4, 5) {
		s.nodes = append(s.nodes, fmt.Sprintf("pve%d", i+1))
	}
	switch many := len(s.nodes); {
	case many == 1:
	case chance(seed, "all nodes") < 0.4:
		s.ours = []string{fleet.AllNodes}
	case chance(seed, "some nodes") < 0.8:
		s.ours = s.nodes[between(0, 1, seed, "first node"):between(2, many, seed, "last node")]
	}
	// The only template is the first node's: runners have to be allowed there.
	s.shared = len(s.nodes) > 1 && (len(s.ours) == 0 || s.ours[0] == fleet.AllNodes || s.ours[0] == s.nodes[0]) && chance(seed, "shared template") < 0.4
	s.ends = between(1, min(len(s.nodes), 3), seed, "addresses")
	s.place = fleet.Placement{AntiAffinity: chance(seed, "apart") < 0.3}
	if chance(seed, "pack") < 0.3 {
		s.place.Strategy = fleet.Pack
	}
	s.pools = min(pick("pools", 1, 1, 2, 3), s.runners)
	if s.runners > s.pools {
		s.idle, s.spares = pick("idle", 0, 0, 0, 1, 2), pick("spares", 0, 0, 0, 1, 2)
	}
	if s.iso = len(s.nodes) == 1 && chance(seed, "iso") < 0.3; s.iso {
		s.spares = 0 // there is no guest agent that could give one its identity later
	}
	s.lease = !s.iso && chance(seed, "lease") < 0.25
	// A runner's life beside its job: clone, boot, two polls, lingering, destruction.
	life := s.lasting + s.boot + 90*time.Second
	s.perHour = min(0.35*float64(s.runners)*float64(time.Hour)/float64(life), 150)
	return s
}

func (s settings) String() string {
	return fmt.Sprintf("%d nodes (ours %v, shared template %t), %d runners in %d pools (%d idle, %d spares, iso %t, lease %t), %.0f jobs an hour of %s, %g‰ faults, %d%% bad guests", len(s.nodes), s.ours, s.shared, s.runners, s.pools, s.idle, s.spares, s.iso, s.lease, s.perHour, s.lasting, s.faults, s.guests)
}

// spareAge is how old a runner without a job gets.
const spareAge = 2 * time.Hour

// mediaStorage is where media with identities are uploaded to, and mediaToken the token that may do so, beside all that the
// fleet's may.
const (
	mediaStorage = "local"
	mediaToken   = "iso@pve!mayfly"
	mediaSecret  = "7d1e6a52-0c4b-4f1e-9a38-2b5c0e9f6d17"
)

func poolName(i int) string { return fmt.Sprintf("pool%d", i+1) }

// maxJob is how long a job may take.
const maxJob = 2 * time.Hour

func (s settings) spec() fleet.Spec {
	spec := fleet.Spec{
		Installation: "simulated", Node: s.nodes[0], Nodes: s.ours, Placement: s.place, ResourcePool: "ci", VMIDs: fleet.Range{Start: 200, End: 299 + 6*s.runners}, MaxRunners: s.runners,
		PollInterval: s.poll, Timing: fleet.Timing{Supply: s.supply},
	}
	if s.iso {
		spec.Way, spec.Storage, spec.WebURL = fleet.WayISO, mediaStorage, "https://github.example"
	}
	for i := range s.pools {
		spec.Pools = append(spec.Pools, runner.Pool{
			Name: poolName(i), Target: runner.Target{Owner: "NREL", Repo: "EnergyPlus"}, Labels: []string{poolName(i), "linux", "x64"}, GroupID: 1,
			NamePrefix: poolName(i), Template: "ubuntu-2204-runner-template", Max: max(1, s.runners*2/(s.pools+1)), RunnerUser: "runner",
			BootTimeout: 5 * time.Minute, IdleTimeout: 10 * time.Minute, MaxJobDuration: maxJob,
			MinIdle: s.idle, BootedSpares: s.spares, SpareMaxAge: spareAge,
		})
	}
	return spec
}

// misbehaviours are what bad guests do.
var misbehaviours = []standin.Behaviour{
	standin.MuteAgent, standin.NeverRegisters, standin.Ghost, standin.DiesInJob, standin.HangsAfterJob, standin.GivesUp, standin.SlowBoot,
}
