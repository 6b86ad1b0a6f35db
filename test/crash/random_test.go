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
	randomJobs    = 500
	randomRunners = 80
	// Jobs come in batches all through the time in which the dispatcher is killed.
	randomBatch    = 5
	randomDuration = 5 * time.Minute
	// The dispatcher lives so long between two kills.
	shortestLife = 2 * time.Second
	longestLife  = 20 * time.Second
	// randomPatience ends a run that gets nowhere.
	randomPatience = 15 * time.Minute
)

// seedVariable repeats a run.
const seedVariable = "MAYFLY_CRASH_SEED"

// TestKilledAtRandomThroughFiveHundredJobs kills the dispatcher every 2 to 20 s, for five minutes in which jobs keep coming and
// then until every one is done, and lets it clean up. One node alone has no room for so many at once.
func TestKilledAtRandomThroughFiveHundredJobs(t *testing.T) {
	t.Parallel()
	seed := randomSeed(t)
	t.Logf("%s=%d", seedVariable, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newStandIns(t, seed, "--nodes", "pve1,pve2,pve3")
	d := newDispatcher(t, s, "", "PROXMOX_NODES=all", "MAX_TOTAL_RUNNERS="+strconv.Itoa(randomRunners), "RUNNER_ID_END=899", "GITHUB_PACE=100ms")
	d.args = append(d.args, "--log-level", "info")
	life := func() time.Time {
		return time.Now().Add(shortestLife + time.Duration(random.Int64N(int64(longestLife-shortestLife))))
	}

	began := time.Now()
	d.start()
	queued, kills := 0, 0
	for end := life(); ; {
		due := min(randomJobs, randomBatch*(1+int(time.Since(began)*(randomJobs/randomBatch)/randomDuration)))
		if due > queued {
			s.queue(due-queued, jobLength)
			queued = due
		}
		d.last = s.now()
		if queued == randomJobs && d.last.jobsDone() == randomJobs && time.Since(began) >= randomDuration {
			break
		}
		if time.Since(began) > randomPatience {
			t.Fatalf("after %s and %d kills only %d of %d jobs are done", randomPatience, kills, d.last.jobsDone(), queued)
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
	if enough := int(randomDuration / longestLife / 2); kills < enough {
		t.Errorf("it was killed %d times, want at least %d", kills, enough)
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
