package cli

import (
	"slices"
	"time"

	"mayfly/internal/fleet"
	"mayfly/internal/runner"
	"mayfly/internal/sim/gh"
)

// demoNews is one change that the demo tells, and one line of its output where that isn't a table.
type demoNews struct {
	// At is the time since the demo began.
	At time.Duration
	// Kind is "job" or "runner".
	Kind string
	// Job is the job's name, of a runner the one that it has; "" for none.
	Job string
	// State is the new one: queued, waiting, running, success… of a job, runner.State of a runner.
	State  string
	Runner string
	VMID   int
	// Note says why, where there is something to say.
	Note string
}

// demoJob is a job as the table shows it.
type demoJob struct {
	id   int64
	name string
	// state is "waiting", "running" or GitHub's conclusion.
	state                   string
	runner                  string
	vmid                    int
	queued, started, ended  time.Time
	note                    string
	machine                 runner.State // of the VM that it ran on
	toldQueued, toldRunning bool
}

// over reports whether the job is completed and its VM gone.
func (j *demoJob) over() bool { return !j.ended.IsZero() && j.machine == runner.Gone }

// demoModel puts together what GitHub's stand-in says of jobs and the controller of runners. It belongs to one
// goroutine.
type demoModel struct {
	began time.Time
	jobs  []*demoJob
	byID  map[int64]*demoJob
	// byRunner has the last word of the controller on each runner.
	byRunner map[string]fleet.Event
	alive    int
}

func newDemoModel(began time.Time) *demoModel {
	return &demoModel{began: began, byID: map[int64]*demoJob{}, byRunner: map[string]fleet.Event{}}
}

// tookEvent takes a change of a runner and returns the news in it.
func (m *demoModel) tookEvent(e fleet.Event) []demoNews {
	n := demoNews{At: e.At.Sub(m.began), Kind: e.Kind, Runner: e.Runner, VMID: e.VMID, State: string(e.State), Note: e.Reason}
	if e.Kind == "job" {
		j := m.byID[e.Job]
		if j == nil { // the stand-in's list comes a moment later and tells the reason, too
			return nil
		}
		j.note = e.Reason
		n.Job, n.State = j.name, "waiting"
		return []demoNews{n}
	}
	_, known := m.byRunner[e.Runner]
	switch {
	case !known:
		m.alive++
	case e.State == runner.Gone:
		m.alive--
	}
	m.byRunner[e.Runner] = e
	for _, j := range m.jobs {
		if j.runner == e.Runner && e.Runner != "" {
			j.vmid, j.machine, n.Job = e.VMID, e.State, j.name
		}
	}
	return []demoNews{n}
}

// tookJobs takes GitHub's view of the jobs, and the controller's of why some wait, and returns the news in it.
func (m *demoModel) tookJobs(jobs []gh.JobState, waiting []fleet.WaitingStatus, now time.Time) []demoNews {
	var news []demoNews
	for i := range jobs {
		news = append(news, m.tookJob(&jobs[i], now)...)
	}
	for _, w := range waiting {
		if j := m.byID[w.Job]; j != nil && j.state == "waiting" {
			j.note = w.Reason.Text
		}
	}
	return news
}

func (m *demoModel) tookJob(s *gh.JobState, now time.Time) []demoNews {
	j := m.byID[s.ID]
	if j == nil {
		j = &demoJob{id: s.ID, name: s.Name, state: "waiting", queued: s.CreatedAt}
		m.byID[s.ID] = j
		m.jobs = append(m.jobs, j)
	}
	var news []demoNews
	tell := func(at time.Time, state, note string) {
		news = append(news, demoNews{
			At: at.Sub(m.began), Kind: "job", Job: j.name, State: state, Runner: j.runner, VMID: j.vmid, Note: note,
		})
	}
	if !j.toldQueued {
		j.toldQueued = true
		tell(s.CreatedAt, "queued", "")
	}
	if s.RunnerName != "" {
		j.runner = s.RunnerName
		if e, ok := m.byRunner[s.RunnerName]; ok {
			j.vmid, j.machine = e.VMID, e.State
		}
	}
	if !s.StartedAt.IsZero() && !j.toldRunning {
		j.toldRunning, j.started, j.state, j.note = true, s.StartedAt, "running", ""
		tell(s.StartedAt, "running", "")
	}
	if s.Conclusion != "" && j.ended.IsZero() {
		j.ended, j.state, j.note = s.CompletedAt, s.Conclusion, s.Reason
		if j.ended.IsZero() {
			j.ended = now
		}
		tell(j.ended, s.Conclusion, s.Reason)
	}
	return news
}

// counts says how many jobs are done, run and wait.
func (m *demoModel) counts() (done, running, waiting int) {
	for _, j := range m.jobs {
		switch {
		case !j.ended.IsZero():
			done++
		case !j.started.IsZero():
			running++
		default:
			waiting++
		}
	}
	return done, running, waiting
}

// shown picks the jobs that a table of so many rows has room for: those in work, then those that wait, then the last
// ones done; in the order they were queued.
func (m *demoModel) shown(rows int) []*demoJob {
	rank := func(j *demoJob) int {
		switch {
		case j.over():
			return 2
		case j.started.IsZero():
			return 1
		}
		return 0
	}
	var pick []*demoJob
	for r := range 3 {
		var group []*demoJob
		for _, j := range m.jobs {
			if rank(j) == r {
				group = append(group, j)
			}
		}
		if room := max(rows-len(pick), 0); len(group) > room {
			if r == 2 {
				group = group[len(group)-room:]
			} else {
				group = group[:room]
			}
		}
		pick = append(pick, group...)
	}
	slices.SortFunc(pick, func(a, b *demoJob) int { return int(a.id - b.id) })
	return pick
}
