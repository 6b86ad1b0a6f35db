package cli

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/fleet"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
)

var demoBegan = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// after is a moment of a demo.
func after(s float64) time.Time { return demoBegan.Add(time.Duration(s * float64(time.Second))) }

// runnerEvent is a change that the controller tells of.
func runnerEvent(at float64, name string, vmid int, state runner.State) fleet.Event {
	return fleet.Event{At: after(at), Kind: "runner", Runner: name, VMID: vmid, State: state}
}

// halfway is a demo of three jobs: the first is over, the second runs, the third waits.
func halfway() (*demoModel, []demoNews) {
	m := newDemoModel(demoBegan)
	var news []demoNews
	jobs := []gh.JobState{
		{ID: 1, Name: "build #1", CreatedAt: after(0)}, {ID: 2, Name: "test #2", CreatedAt: after(0.5)}, {ID: 3, Name: "lint #3", CreatedAt: after(1)},
	}
	waits := []fleet.WaitingStatus{{Job: 3, Reason: fleet.Reason{Code: fleet.WaitTotalMax, Text: "all pools together are at their max of 2"}}}
	news = append(news, m.tookJobs(jobs, waits, after(1))...)
	news = append(news, m.tookEvent(runnerEvent(1.1, "r-1", 201, runner.Cloning))...)
	news = append(news, m.tookEvent(runnerEvent(1.2, "r-2", 202, runner.Cloning))...)
	jobs[0].RunnerName, jobs[0].StartedAt = "r-1", after(2)
	jobs[1].RunnerName, jobs[1].StartedAt = "r-2", after(2.5)
	news = append(news, m.tookJobs(jobs, waits, after(2.6))...)
	jobs[0].Conclusion, jobs[0].CompletedAt = "success", after(3)
	news = append(news, m.tookJobs(jobs, waits, after(3))...)
	news = append(news, m.tookEvent(runnerEvent(3.5, "r-1", 201, runner.Gone))...)
	return m, news
}

func TestDemoTellsEachChangeOfAJobAndItsRunnerOnce(t *testing.T) {
	m, news := halfway()
	var out bytes.Buffer
	for _, n := range news {
		plainView{&out}.news(n)
	}
	want := `  0.00s  job     build #1                      queued
  0.50s  job     test #2                       queued
  1.00s  job     lint #3                       queued
  1.10s  runner  r-1                           cloning      VM 201
  1.20s  runner  r-2                           cloning      VM 202
  2.00s  job     build #1                      running      VM 201
  2.50s  job     test #2                       running      VM 202
  3.00s  job     build #1                      success      VM 201
  3.50s  runner  r-1                           gone         VM 201
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if again := m.tookEvent(runnerEvent(4, "r-2", 202, runner.Busy)); len(again) != 1 || again[0].Job != "test #2" {
		t.Errorf("a runner that has a job tells %+v", again)
	}
}

func TestDemoTableShowsEachJobWithItsVM(t *testing.T) {
	m, _ := halfway()
	got := strings.Join(demoTable{width: 100, rows: 23, title: "a demo", notes: []string{"a note"}}.lines(m, after(4)), "\n")
	want := `a demo
  4.00s   1 job done, 1 running, 1 waiting; 1 VM alive

JOB             STATE       WAITED      RAN    VM  REASON OR RUNNER
build #1        success       2.0s     1.0s   201  destroyed: r-1
test #2         running       2.0s     1.5s   202  r-2
lint #3         waiting       3.0s                 all pools together are at their max of 2
a note`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestDemoTableFitsTheTerminalAndShowsWhatIsInWorkFirst(t *testing.T) {
	m := newDemoModel(demoBegan)
	var jobs []gh.JobState
	for i := range int64(40) {
		j := gh.JobState{ID: i + 1, Name: fmt.Sprintf("build #%d", i+1), CreatedAt: after(0)}
		if i < 20 { // over, but for the first, whose VM is still there
			j.RunnerName, j.StartedAt, j.CompletedAt, j.Conclusion = fmt.Sprintf("r-%d", i+1), after(1), after(2), "success"
		}
		jobs = append(jobs, j)
	}
	for i := range 20 {
		state := runner.Gone
		if i == 0 {
			state = runner.Draining
		}
		m.tookEvent(runnerEvent(1, fmt.Sprintf("r-%d", i+1), 200+i, runner.Busy))
		m.tookEvent(runnerEvent(2, fmt.Sprintf("r-%d", i+1), 200+i, state))
	}
	m.tookJobs(jobs, nil, after(3))
	for _, rows := range []int{8, 10, 23, 30, 60} {
		for _, width := range []int{1, 20, 80} {
			lines := demoTable{width: width, rows: rows, title: "a demo of mayfly"}.lines(m, after(3))
			if len(lines) > rows {
				t.Errorf("%d lines in %d rows", len(lines), rows)
			}
			for _, l := range lines {
				if utf8.RuneCountInString(l) > width {
					t.Errorf("%q is wider than %d", l, width)
				}
			}
			if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "build #1  ") }) && width == 80 {
				t.Errorf("the job whose VM is still there isn't shown in %d rows:\n%s", rows, strings.Join(lines, "\n"))
			}
		}
	}
	if last := (demoTable{width: 80, rows: 12}).lines(m, after(3)); !strings.HasPrefix(last[len(last)-1], "and 33 more jobs") {
		t.Errorf("last line %q", last[len(last)-1])
	}
}

func TestDemoTableHasNoColourWithoutBeingAsked(t *testing.T) {
	m, _ := halfway()
	for _, color := range []bool{false, true} {
		text := strings.Join(demoTable{width: 100, rows: 23, color: color, title: "a demo"}.lines(m, after(4)), "\n")
		if strings.Contains(text, "\x1b[") != color {
			t.Errorf("colour %v: %q", color, text)
		}
	}
}
