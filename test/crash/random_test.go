//go:build crash

package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

const (
	randomJobs    = 100
	randomRunners = 30
	// The dispatcher lives so long between two kills.
	shortestLife = 2 * time.Second
	longestLife  = 10 * time.Second
	// randomPatience ends a run that gets nowhere.
	randomPatience = 15 * time.Minute
)

// seedVariable repeats a run.
const seedVariable = "MAYFLY_CRASH_SEED"

// TestKilledAtRandomThroughAHundredJobs kills the dispatcher every 2 to 10 s until every job is done, and then lets it
// clean up.
func TestKilledAtRandomThroughAHundredJobs(t *testing.T) {
	t.Parallel()
	seed := randomSeed(t)
	t.Logf("%s=%d", seedVariable, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newStandIns(t, seed)
	d := newDispatcher(t, s, "", "MAX_TOTAL_RUNNERS="+strconv.Itoa(randomRunners), "RUNNER_ID_END=399")
	d.args = append(d.args, "--log-level", "info")
	life := func() time.Time {
		return time.Now().Add(shortestLife + time.Duration(random.Int64N(int64(longestLife-shortestLife))))
	}

	began := time.Now()
	s.queue(randomJobs, jobLength)
	d.start()
	kills := 0
	for end := life(); ; {
		d.last = s.now()
		if d.last.jobsDone() == randomJobs {
			break
		}
		if time.Since(began) > randomPatience {
			t.Fatalf("after %s and %d kills only %d jobs are done", randomPatience, kills, d.last.jobsDone())
		}
		d.pause(min(time.Second, max(0, time.Until(end))))
		d.mustLive()
		if !time.Now().Before(end) {
			d.kill()
			kills++
			d.start()
			end = life()
		}
	}
	done := time.Since(began)
	m, over := d.untilOver()
	d.check(m, nil, randomRunners)
	if kills == 0 {
		t.Error("it was never killed")
	}
	d.run.Terminate(d.t)
	t.Logf("%d jobs on %d VMs, up to %d at once, %d kills: done after %s, nothing left after %s", randomJobs, len(m.ours()), m.atOnce(),
		kills, done.Round(time.Second), over.Sub(began).Round(time.Second))
}

func (m moment) jobsDone() int {
	n := 0
	for _, j := range m.gh.Jobs {
		if j.Status == "completed" {
			n++
		}
	}
	return n
}

// randomSeed is the seed of the environment, or a new one.
func randomSeed(t *testing.T) uint64 {
	t.Helper()
	text, set := os.LookupEnv(seedVariable)
	if !set {
		return uint64(time.Now().UnixNano())
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", seedVariable, err))
	}
	return seed
}
