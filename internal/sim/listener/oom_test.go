package main

import (
	"testing"

	"mayfly/internal/sim/runnerproto"
)

// TestStepsGoBeforeTheRunnerWhenMemoryEnds: the score is set just after the start, so a step waits for it here.
func TestStepsGoBeforeTheRunnerWhenMemoryEnds(t *testing.T) {
	for env, want := range map[string]string{"": "500", "700": "700", "2000": "500", "much": "500"} {
		f := newFake(t)
		r := newRunner(t, oomScoreVariable+"="+env)
		f.messages <- steps(`while [ "$(cat /proc/self/oom_score_adj)" != ` + want + ` ]; do sleep 0.01; done`)
		r.start("run", "--jitconfig", f.config(true))
		if code := r.wait(); code != 0 || f.resultOf(11) != runnerproto.Succeeded {
			t.Errorf("%s=%q: exit code %d, told %q", oomScoreVariable, env, code, f.resultOf(11))
		}
	}
}
