package fleet

import (
	"testing"
	"time"

	"mayfly/internal/runner"
)

// TestGuestThatSaidItsResultIsLeftAlone pins what real guests showed: one that lingers before its power-off was asked
// again and again, as fast as it answered.
func TestGuestThatSaidItsResultIsLeftAlone(t *testing.T) {
	for finished, want := range map[bool]int{false: 1, true: 0} {
		o := world()
		e := o.with(201, "ep", runner.Busy)
		e.missingSince = noon.Add(-time.Second)
		if finished {
			e.finished = noon.Add(-time.Second)
		}
		inspections := 0
		for _, a := range plan(testSpec(), o, noon).actions {
			if a.step == StepInspect {
				inspections++
			}
		}
		if inspections != want {
			t.Errorf("finished %v: %d inspections, want %d", finished, inspections, want)
		}
	}
}
