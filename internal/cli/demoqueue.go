package cli

import (
	"fmt"
	"math/rand/v2"
	"time"

	"mayfly/internal/sim/gh"
)

// demoQueue decides when jobs come.
type demoQueue struct {
	flags  demoFlags
	random *rand.Rand
	next   time.Time
	queued int
}

func newDemoQueue(f demoFlags, began time.Time) *demoQueue {
	return &demoQueue{flags: f, random: rand.New(rand.NewPCG(f.seed, 0)), next: began}
}

// demoNames are the jobs of a workflow.
var demoNames = []string{"build", "test", "lint", "docs", "package", "bench"}

// add queues the jobs that come now and returns how many those are.
func (q *demoQueue) add(github *gh.Server, m *demoModel, now time.Time) int {
	if now.Before(q.next) {
		return 0
	}
	q.next = now.Add(time.Duration(100+q.random.IntN(300)) * time.Millisecond)
	n := 1 + q.random.IntN(4)
	if q.flags.once {
		n = min(n, q.flags.jobs-q.queued)
	} else {
		done, _, _ := m.counts()
		n = min(n, q.flags.jobs-(q.queued-done))
	}
	n = max(n, 0)
	for range n {
		name := demoNames[q.queued%len(demoNames)]
		q.queued++
		github.AddJobs(gh.JobSpec{
			Name: fmt.Sprintf("%s #%d", name, q.queued), Labels: []string{"self-hosted", "linux", "energyplus"},
			Steps:    []gh.StepSpec{{Name: name, Run: "echo " + name}},
			Duration: time.Duration(200+q.random.IntN(700)) * time.Millisecond,
		})
	}
	return n
}
