package fleet

import (
	"cmp"
	"slices"
	"time"
)

// cooldown is how long a VMID rests after its last VM. Where the range is too short for the full time at the number
// of runners we may have, it is shorter, but never under minCooldown.
func cooldown(s Spec) time.Duration {
	full := s.Timing.Cooldown
	spare := s.VMIDs.Size() - s.MaxRunners
	if want := 4 * s.MaxRunners; spare < want {
		full = full * time.Duration(max(spare, 0)) / time.Duration(want)
	}
	return min(max(full, minCooldown), max(s.Timing.Cooldown, 0))
}

// vmids gives the free VMIDs of the range one after the other, those that were used least recently first: never used ones,
// from the start of the range, then the others. The range may be long, so it goes only as far as it is asked to.
type vmids struct {
	spec Spec
	// taken says what may not be had (a VM is there, or something holds it back), lastUsed when a VM last had a VMID.
	taken    map[int]bool
	lastUsed map[int]time.Time
	now      time.Time

	unseen int   // the next of the range to look at
	rested []int // that were used before and have had their rest; nil until they are needed
	// soonest is when a resting one will be free, once none is; zero when only the end of a VM helps.
	soonest time.Time
}

func newVMIDs(s Spec, taken map[int]bool, lastUsed map[int]time.Time, now time.Time) *vmids {
	return &vmids{spec: s, taken: taken, lastUsed: lastUsed, now: now, unseen: s.VMIDs.Start}
}

// next returns a VMID that it hasn't returned before; ok is false when none is free.
func (v *vmids) next() (id int, ok bool) {
	for ; v.unseen <= v.spec.VMIDs.End; v.unseen++ {
		if id := v.unseen; !v.taken[id] && v.lastUsed[id].IsZero() {
			v.unseen++
			return id, true
		}
	}
	if v.rested == nil {
		v.rest()
	}
	if len(v.rested) == 0 {
		return 0, false
	}
	id, v.rested = v.rested[0], v.rested[1:]
	return id, true
}

// rest sorts out which of those that were used before may be used again.
func (v *vmids) rest() {
	rest := cooldown(v.spec)
	v.rested = []int{}
	for id, used := range v.lastUsed {
		if used.IsZero() || v.taken[id] || !v.spec.VMIDs.Contains(id) {
			continue
		}
		switch free := used.Add(rest); {
		case !v.now.Before(free):
			v.rested = append(v.rested, id)
		case v.soonest.IsZero() || free.Before(v.soonest):
			v.soonest = free
		}
	}
	slices.SortFunc(v.rested, func(a, b int) int { return cmp.Or(v.lastUsed[a].Compare(v.lastUsed[b]), cmp.Compare(a, b)) })
}

// restVacated has VMIDs rest whose VM, not a runner of ours, was there at the last look and is gone: Proxmox shows it under
// them for a while all the same.
func (l *ledger) restVacated(before, now supply) {
	for id := range before.taken {
		if !now.taken[id] && l.runners[id] == nil && now.at.After(l.lastUsed[id]) {
			l.lastUsed[id] = now.at
		}
	}
}
