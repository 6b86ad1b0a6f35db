package fleet

import (
	"testing"
	"time"
)

// TestVMIDRestsAfterSomebodyElsesVM has an administrator destroy a VM of our range that isn't ours.
func TestVMIDRestsAfterSomebodyElsesVM(t *testing.T) {
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	s := Spec{VMIDs: Range{Start: 200, End: 201}, MaxRunners: 1, Timing: DefaultTiming()}
	l := newLedger()
	l.restVacated(supply{at: at, taken: map[int]bool{200: true}}, supply{at: at.Add(2 * time.Second), taken: map[int]bool{}})
	if id, ok := newVMIDs(s, nil, l.lastUsed, at.Add(4*time.Second)).next(); !ok || id != 201 {
		t.Errorf("VMID %d, %v: want 201, as 200 has just been vacated", id, ok)
	}
}
