package fleet

import (
	"testing"

	"mayfly/internal/runner"
)

// TestRunnerWithOldLabelsMakesWay: one that is registered with what its pool had before a reload serves no job of now, so it
// doesn't count as the answer to one, and goes when it is idle; one with a job stays.
func TestRunnerWithOldLabelsMakesWay(t *testing.T) {
	o := world(job(1, "linux", "new"))
	idle, busy, booting := o.with(200, "ep", runner.Idle), o.with(201, "ep", runner.Busy), o.with(202, "other", runner.Booting)
	busy.job = 9
	c := &Controller{spec: testSpec(testPool("ep", "linux"), testPool("other", "other")), ledger: o.ledger}
	next := c.spec
	next.Pools = []runner.Pool{testPool("ep", "linux", "new"), testPool("other", "else")}
	if err := c.reload(next, noon); err != nil {
		t.Fatal(err)
	}
	if !idle.outdated || !busy.outdated || booting.outdated {
		t.Errorf("outdated: idle %t, busy %t, booting (not registered yet) %t", idle.outdated, busy.outdated, booting.outdated)
	}
	made, gone := 0, map[int]bool{}
	for _, a := range plan(c.spec, o, noon).actions {
		switch a.step {
		case StepClone:
			made++
		case StepDestroy:
			gone[a.vmid] = true
		default:
		}
	}
	if made != 1 || !gone[200] || gone[201] {
		t.Errorf("%d made, gone %v; want one made, and the idle one gone", made, gone)
	}
}
