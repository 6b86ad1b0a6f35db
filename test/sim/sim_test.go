package sim

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The variables that say what to run; without them it is a short run for `make test`.
const (
	varHours   = "HOURS"   // of virtual time, over as many worlds as it takes
	varMinutes = "MINUTES" // of real time, after which no more worlds begin
	varSeed    = "SEED"    // of the one world to run, or of the first
	varStory   = "STORY"   // for how many minutes of virtual time things go wrong in a world
	varFaults  = "FAULTS"  // the only ones that may happen, each with a ";" behind it
	varTrace   = "TRACE"   // the file that gets every line of SEED's trace, and the end of the dispatcher's log
	varRuns    = "RUNS"    // how often one world is run to compare its traces
)

const (
	// troubledFor is for how long things go wrong in each world of a long run, and in one of a short run.
	troubledFor      = 4 * time.Hour
	troubledForShort = 20 * time.Minute
	// worldsShort is how many worlds a short run has.
	worldsShort = 4
)

// inBubble lets a world live in a bubble of its own. What ends the bubble in panic (a deadlock, a leak) is a violation.
func inBubble(t *testing.T, r run) (res result) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { res = live(t, r) })
	return res
}

// TestWorldsStayWithinTheRules is the simulation.
func TestWorldsStayWithinTheRules(t *testing.T) {
	r := run{troubled: troubledForShort}
	worlds, first := worldsShort, number(varSeed, 1)
	hours := number(varHours, 0)
	if hours > 0 || os.Getenv(varSeed) != "" {
		r.troubled = troubledFor
	}
	if story := number(varStory, 0); story > 0 {
		r.troubled = time.Duration(story) * time.Minute
	}
	switch {
	case hours > 0:
		worlds = int((time.Duration(hours)*time.Hour + r.troubled - 1) / r.troubled)
	case os.Getenv(varSeed) != "":
		worlds = 1
	}
	if faults := os.Getenv(varFaults); faults != "" {
		r.only = strings.Split(faults, ";")
	}
	r.keep = os.Getenv(varTrace) != ""
	sum := &summary{began: time.Now(), told: time.Now(), of: worlds, cover: map[string]int{}, called: map[string]int{}}
	minutes := number(varMinutes, 0)
	t.Run("worlds", func(t *testing.T) {
		for seed := first; seed < first+worlds; seed++ {
			r := r
			r.seed = uint64(seed)
			t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
				t.Parallel()
				if minutes > 0 && time.Since(sum.began) > time.Duration(minutes)*time.Minute {
					t.Skip("the time is over")
				}
				res := inBubble(t, r)
				sum.add(res)
				writeTrace(t, res)
				if len(res.violations) > 0 {
					t.Error(res.report())
					if r.only == nil {
						t.Error(shrunk(t, res))
					}
				}
			})
		}
	})
	fmt.Println(sum.String())
	if r.only == nil {
		for _, row := range missed(sum.cover, atLeast(sum.lived.Hours())) {
			t.Errorf("too seldom: %s", row)
		}
	}
}

// TestSameSeedSameTrace runs one world again and again: each time every line of its trace must be the same.
func TestSameSeedSameTrace(t *testing.T) {
	r := run{seed: uint64(number(varSeed, 7)), troubled: time.Duration(number(varStory, 20)) * time.Minute, keep: true}
	first := inBubble(t, r)
	for i := 1; i < max(2, number(varRuns, 2)); i++ {
		next := inBubble(t, r)
		if next.digest == first.digest {
			continue
		}
		for n, line := range first.lines {
			if n >= len(next.lines) || next.lines[n] != line {
				t.Fatalf("seed %d, run %d: line %d differs:\n%s\n%s", r.seed, i+1, n, line, next.lines[min(n, len(next.lines)-1)])
			}
		}
		t.Fatalf("seed %d, run %d: the trace is longer: %d lines, not %d", r.seed, i+1, len(next.lines), len(first.lines))
	}
	t.Logf("seed %d: the same %d lines each time", r.seed, len(first.lines))
}

// summary adds worlds up.
type summary struct {
	began  time.Time
	of     int // worlds
	mu     sync.Mutex
	told   time.Time
	worlds int
	lived  time.Duration
	jobs   int
	calls  int
	faults int
	cover  map[string]int
	called map[string]int
}

func (s *summary) add(r result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worlds++
	s.lived += r.lived
	s.jobs += r.jobs
	s.calls += r.calls
	s.faults += len(r.fired)
	for k, n := range r.cover {
		s.cover[k] += n
	}
	for k, n := range r.called {
		s.called[k] += n
	}
	s.tell(r)
}

// tellEvery is how often a run says how far it is.
const tellEvery = time.Minute

// tell says how far the run is, and at once which world broke a rule: the report comes at the end, and a run may take
// half an hour.
func (s *summary) tell(r result) {
	if len(r.violations) > 0 {
		fmt.Printf("seed %d: %s: %.200s\n", r.run.seed, r.violations[0].rule, r.violations[0].text)
	}
	if now := time.Now(); now.Sub(s.told) >= tellEvery {
		s.told = now
		fmt.Printf("%d of %d worlds, %.0f simulated hours, %d jobs, in %s\n", s.worlds, s.of, s.lived.Hours(), s.jobs, now.Sub(s.began).Round(time.Second))
	}
}

func (s *summary) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%s%d worlds, %.1f simulated hours, %d jobs, %d calls of dispatchers, %d faults, in %s",
		coverage(s.cover, s.called), s.worlds, s.lived.Hours(), s.jobs, s.calls, s.faults, time.Since(s.began).Round(time.Second))
}

// report tells what is wrong with a world, and how to have it again.
func (r result) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %s\n", r.run.seed, r.settings)
	for _, v := range r.violations {
		fmt.Fprintf(&b, "%12s  %s: %s\n", v.at.Round(time.Millisecond), v.rule, v.text)
	}
	fmt.Fprintf(&b, "again: make sim SEED=%d STORY=%d TRACE=/tmp/trace", r.run.seed, int(r.run.troubled.Minutes()))
	return b.String()
}

func writeTrace(t *testing.T, r result) {
	t.Helper()
	name := os.Getenv(varTrace)
	if name == "" {
		return
	}
	f, err := os.Create(name)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	for _, line := range r.lines {
		fmt.Fprintln(f, line)
	}
	fmt.Fprint(f, r.log)
}

func number(name string, or int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return or
}
