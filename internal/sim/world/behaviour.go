package world

import (
	"hash/fnv"
	"math"
	"strconv"
	"time"

	"mayfly/internal/sim/pve"
)

// Behaviour is how a guest behaves; all but [Normal] are troubles that real guests have had.
type Behaviour int

// The behaviours.
const (
	// Normal boots, takes its identity, does its job and powers off.
	Normal Behaviour = iota
	// MuteAgent boots, but its agent never answers: a kernel that hangs, an image without agent.
	MuteAgent
	// NeverRegisters takes its identity but its listener never reaches GitHub: no DNS, a wrong clock.
	NeverRegisters
	// Ghost is given a job and never starts it, and listens on for ever (actions/runner#4617).
	Ghost
	// DiesInJob loses its power in the middle of its job.
	DiesInJob
	// HangsAfterJob completes its job, but its listener never ends (actions/actions-runner-controller#4603).
	HangsAfterJob
	// Unfit answers, but can't become a runner: its image lacks what run-once.sh needs.
	Unfit
	// GivesUp takes its identity, and its listener ends with an error before it has had a job.
	GivesUp
	// SlowBoot takes several minutes longer to boot: a node that swaps, a disk that is rebuilt.
	SlowBoot
)

// slowBoot is how much longer those take.
const slowBoot = 6 * time.Minute

// String names the behaviour.
func (b Behaviour) String() string {
	switch b {
	case Normal:
		return "normal"
	case MuteAgent:
		return "mute agent"
	case NeverRegisters:
		return "never registers"
	case Ghost:
		return "ghost"
	case DiesInJob:
		return "dies in job"
	case HangsAfterJob:
		return "hangs after job"
	case Unfit:
		return "unfit"
	case GivesUp:
		return "gives up"
	case SlowBoot:
		return "boots slowly"
	}
	return "behaviour " + strconv.Itoa(int(b))
}

// Troubled chooses by seed and runner name: of a hundred machines, about percent have one of the troubles.
func Troubled(seed uint64, percent int, troubles ...Behaviour) func(pve.Machine) Behaviour {
	return func(m pve.Machine) Behaviour {
		if len(troubles) == 0 || chance(seed, "trouble", m.Name) >= float64(percent)/100 {
			return Normal
		}
		return troubles[int(chance(seed, "which", m.Name)*float64(len(troubles)))]
	}
}

// jitter gives d, up to a quarter more or less.
func jitter(d time.Duration, seed uint64, vmid, start int) time.Duration {
	return time.Duration(float64(d) * (0.75 + chance(seed, "boot", strconv.Itoa(vmid), strconv.Itoa(start))/2))
}

// chance is a number in [0, 1) that depends on nothing but its arguments. No random source is shared, so the order in
// which guests ask changes nothing.
func chance(seed uint64, parts ...string) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(strconv.FormatUint(seed, 16))) // never fails
	for _, p := range parts {
		_, _ = h.Write([]byte{0})
		_, _ = h.Write([]byte(p))
	}
	x := h.Sum64()
	// FNV spreads its last bytes badly over the high bits; this finaliser (MurmurHash3's) does it.
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return float64(x>>11) / math.Exp2(53)
}
