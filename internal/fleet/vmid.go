package fleet

import "time"

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

// pickVMID returns the free VMID of the range that was used least recently: never used ones first, from the start of
// the range. taken says what may not be had (a VM is there, or something holds it back); lastUsed when a VM last had
// it. When none is free now, soonest says when a resting one will be (zero when only the end of a VM helps).
func pickVMID(s Spec, taken map[int]bool, lastUsed map[int]time.Time, now time.Time) (vmid int, ok bool, soonest time.Time) {
	rest := cooldown(s)
	var best time.Time
	for id := s.VMIDs.Start; id <= s.VMIDs.End; id++ {
		if taken[id] {
			continue
		}
		used := lastUsed[id]
		if free := used.Add(rest); !used.IsZero() && now.Before(free) {
			if soonest.IsZero() || free.Before(soonest) {
				soonest = free
			}
			continue
		}
		if !ok || used.Before(best) {
			vmid, ok, best = id, true, used
		}
	}
	return vmid, ok, soonest
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
