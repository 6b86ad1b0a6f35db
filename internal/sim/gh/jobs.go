package gh

import (
	"fmt"
	"strings"
	"time"
)

// maxMatrix is how many jobs a matrix makes in one run at most (GitHub docs, "Actions limits").
const maxMatrix = 256

// JobSpec says what jobs to queue; the zero value is one job of one step for a self-hosted runner.
type JobSpec struct {
	// Count is how many; 0 is one. They are a matrix of one run, or of several when there are more than PerRun (0
	// is GitHub's 256).
	Count  int
	PerRun int
	// Labels are the runs-on; nil is {"self-hosted"}, an empty list is a job that names no label.
	Labels []string
	// Steps are shell scripts that run one after the other.
	Steps []StepSpec
	// Duration is how long the job lasts beside its steps. Fail makes it end as failed.
	Duration time.Duration
	Fail     bool
	// Env is in the environment of the steps.
	Env map[string]string
	// Repository is "OWNER/REPO", the first one when empty. An unknown one is created, private.
	Repository string
	// Name is the job's name ("build"); of several each gets " (N)". Workflow is "CI", Event "push", Branch "main"
	// and Actor "octocat" when empty.
	Name, Workflow, Event, Branch, Actor string
	// Head is where the code is from, "OWNER/REPO": a fork, whose pull request started the run (of Event "pull_request…"), or
	// whose run this one follows ("workflow_run"). Empty is the repository itself, [DeletedFork] a fork that is gone.
	Head string
	// Status is "queued" when empty; or "waiting" (for an approval), "pending" (for a concurrency group) or
	// "requested", until [Server.Release].
	Status string
}

// DeletedFork is the Head of a run whose fork was deleted: GitHub shows null then.
const DeletedFork = "-"

// StepSpec is one step of a job. In JSON it may also be just the script.
type StepSpec struct {
	Name string `json:"name"`
	Run  string `json:"run"`
	// If is "", "success()", "failure()", "always()", "cancelled()" or "!cancelled()": when it runs.
	If string `json:"if"`
}

// AddJobs queues jobs and returns their ids. A spec that GitHub couldn't have made from a workflow makes it panic.
func (s *Server) AddJobs(spec JobSpec) []int64 {
	ids, err := s.addJobs(spec)
	if err != nil {
		panic(fmt.Sprintf("sim/gh: %v", err))
	}
	return ids
}

func (s *Server) addJobs(spec JobSpec) ([]int64, error) {
	if spec.Repository == "" {
		spec.Repository = s.opts.Repository
	}
	owner, name, ok := strings.Cut(spec.Repository, "/")
	headOwner, headName, isRepo := strings.Cut(spec.Head, "/")
	switch {
	case spec.Head != "" && spec.Head != DeletedFork && (!isRepo || headOwner == "" || headName == "" || strings.Contains(headName, "/")):
		return nil, fmt.Errorf("add jobs: head %q: want OWNER/REPO, or %q for a fork that is deleted", spec.Head, DeletedFork)
	case !ok || owner == "" || name == "" || strings.Contains(name, "/"):
		return nil, fmt.Errorf("add jobs: repository %q: want OWNER/REPO", spec.Repository)
	case spec.Count < 0 || spec.PerRun < 0 || spec.PerRun > maxMatrix || spec.Duration < 0:
		return nil, fmt.Errorf("add jobs: count %d, per run %d, duration %s: want numbers from 0, at most %d per run", spec.Count, spec.PerRun, spec.Duration, maxMatrix)
	}
	switch spec.Status {
	case "", statusQueued, statusWaiting, statusPending, statusRequested:
	default:
		return nil, fmt.Errorf("add jobs: status %q: want queued, waiting, pending or requested", spec.Status)
	}
	spec.fill()
	s.mu.Lock()
	defer s.mu.Unlock()
	w, now := &s.world, time.Now()
	w.advance(now)
	repo := w.repository(owner, name)
	if repo == nil {
		repo = w.addRepository(owner, name, false)
	}
	var ids []int64
	for first := 0; first < spec.Count; first += spec.PerRun {
		run := w.addRun(repo, spec, now)
		for i := first; i < min(spec.Count, first+spec.PerRun); i++ {
			js := jobSpec{name: spec.Name, labels: spec.Labels, steps: spec.Steps, duration: spec.Duration, fail: spec.Fail, env: spec.Env}
			if spec.Count > 1 {
				js.name = fmt.Sprintf("%s (%d)", spec.Name, i+1)
			}
			ids = append(ids, w.addJob(run, js, spec.Status, now).id)
		}
	}
	s.opts.Logger.Info("jobs queued", "count", len(ids), "reason", repo.String())
	w.match(now)
	w.wakeAll()
	return ids, nil
}

func (spec *JobSpec) fill() {
	for field, value := range map[*string]string{
		&spec.Name: "build", &spec.Workflow: "CI", &spec.Event: "push", &spec.Branch: "main", &spec.Actor: "octocat", &spec.Status: statusQueued,
	} {
		if *field == "" {
			*field = value
		}
	}
	if spec.Labels == nil {
		spec.Labels = []string{"self-hosted"}
	}
	if spec.Count == 0 {
		spec.Count = 1
	}
	if spec.PerRun == 0 {
		spec.PerRun = maxMatrix
	}
}

func (w *world) addRun(repo *repository, spec JobSpec, now time.Time) *run {
	r := &run{
		id: w.id("run"), number: len(repo.runs) + 1, attempt: 1, repo: repo, event: spec.Event, branch: spec.Branch,
		head: spec.Head, actor: spec.Actor, workflow: spec.Workflow, created: now, updated: now, attemptAt: []time.Time{now},
	}
	r.sha = seeded(w.opts.Seed, "sha", r.id).hex(40)
	repo.runs = append(repo.runs, r)
	w.runs[r.id] = r
	return r
}

func (w *world) addJob(r *run, spec jobSpec, status string, now time.Time) *job {
	j := &job{id: w.id("job"), run: r, attempt: r.attempt, spec: spec, status: status, created: now, queued: now}
	r.jobs = append(r.jobs, j)
	w.jobs[j.id] = j
	w.open = append(w.open, j)
	return j
}

// CancelJob cancels a job as if its run had been cancelled: at once while it has no runner, else when its runner says
// so, at the latest after five minutes. It reports whether there was such a job that wasn't completed yet.
func (s *Server) CancelJob(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.world.advance(now)
	j := s.world.jobs[id]
	if j == nil || j.status == statusCompleted {
		return false
	}
	s.world.cancelJob(j, now)
	return true
}

// Release queues a job that was waiting, pending or requested. It reports whether it was.
func (s *Server) Release(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.world.advance(now)
	j := s.world.jobs[id]
	if j == nil || (j.status != statusWaiting && j.status != statusPending && j.status != statusRequested) {
		return false
	}
	j.status, j.queued, j.run.updated = statusQueued, now, now
	s.world.match(now)
	s.world.wakeAll()
	return true
}
