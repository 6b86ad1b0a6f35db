package demand_test

import (
	"context"
	"errors"
	"fmt"

	"mayfly/internal/demand"
	"mayfly/internal/runner"
)

// flaky knows one job and answers every other time.
type flaky struct{ asked int }

func (f *flaky) Jobs(_ context.Context, t runner.Target) ([]runner.Job, error) {
	f.asked++
	if f.asked%2 == 0 {
		return nil, errors.New("GitHub answers 502")
	}
	return []runner.Job{{ID: 1, Target: t, Status: runner.JobQueued}}, nil
}

func ExamplePoll() {
	target := runner.Target{Owner: "NREL", Repo: "EnergyPlus"}
	poll := demand.NewPoll(&flaky{}, []runner.Target{target}, nil)
	for range 2 {
		reading, err := poll.Read(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		_, stale := reading.Stale[target]
		fmt.Println(len(reading.Jobs), "job, error:", reading.Partial[target], "stale:", stale)
	}
	// Output:
	// 1 job, error: <nil> stale: false
	// 1 job, error: GitHub answers 502 stale: true
}
