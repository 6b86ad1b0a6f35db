package gh

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"mayfly/internal/sim/runnerproto"
)

// step is something that happens to the stand-in: a verb, which runner and job it is about, and how long it takes.
type step struct {
	verb        string
	runner, job int
	wait        time.Duration
}

func steps() *rapid.Generator[[]step] {
	verbs := []string{"queue", "mint", "open", "poll", "start", "start any", "renew", "complete", "cancel", "remove", "close", "sleep"}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			verb: rapid.SampledFrom(verbs).Draw(t, "verb"), runner: rapid.IntRange(0, 2).Draw(t, "runner"), job: rapid.IntRange(0, 2).Draw(t, "job"),
			wait: time.Duration(rapid.SampledFrom([]int{0, 1, 20, 45, 61, 700}).Draw(t, "seconds")) * time.Second,
		}
	}), 20, 80)
}

func TestJobNeverStartsTwiceWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		todo := steps().Draw(rt, "steps")
		var err error
		synctest.Test(t, func(t *testing.T) { err = play(inProcess(t, Options{Seed: 9}), todo) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// player is what the clients of the stand-in know.
type player struct {
	*bench
	jobs    []int64
	clients []*runnerproto.Client
	ids     []int64
	has     []int64 // the job that each runner was told of last
	removed map[int64]bool
	started map[int64]int64 // job to runner
}

func play(b *bench, todo []step) error {
	p := &player{bench: b, removed: map[int64]bool{}, started: map[int64]int64{}}
	for i, s := range todo {
		if err := p.do(s); err != nil {
			return fmt.Errorf("step %d %+v: %w", i, s, err)
		}
		if err := p.check(); err != nil {
			return fmt.Errorf("after step %d %+v: %w", i, s, err)
		}
	}
	return p.drain()
}

func (p *player) do(s step) error {
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Hour)
	defer cancel()
	switch s.verb {
	case "queue":
		p.jobs = append(p.jobs, p.s.AddJobs(JobSpec{})...)
		return nil
	case "mint":
		c, id := p.mint(fmt.Sprintf("r-%d", len(p.ids)), "self-hosted")
		p.clients, p.ids, p.has = append(p.clients, c), append(p.ids, id), append(p.has, 0)
		return nil
	case "sleep":
		time.Sleep(s.wait)
		return nil
	case "cancel":
		if len(p.jobs) > 0 {
			p.s.CancelJob(p.jobs[s.job%len(p.jobs)])
		}
		return nil
	}
	if len(p.ids) == 0 {
		return nil
	}
	i := s.runner % len(p.ids)
	c, id := p.clients[i], p.ids[i]
	switch s.verb {
	case "open":
		_ = c.Open(ctx, "host", "2.336.0") // a conflict or a removed runner is fine
	case "close":
		_ = c.Close(ctx)
	case "poll":
		m, err := c.Message(ctx, max(s.wait, time.Second))
		if err == nil && m != nil && m.Type == runnerproto.JobRequest {
			p.has[i] = m.JobID
		}
	case "start":
		return p.start(ctx, i, p.has[i])
	case "start any":
		if len(p.jobs) > 0 {
			return p.start(ctx, i, p.jobs[s.job%len(p.jobs)])
		}
	case "renew":
		_, _ = c.Renew(ctx, p.has[i])
	case "complete":
		if err := c.Complete(ctx, p.has[i], runnerproto.Succeeded); err == nil && p.started[p.has[i]] != id {
			return fmt.Errorf("runner %d completed a job that it never started", id)
		}
	case "remove":
		busy := p.runner(id).Busy
		g := p.ask(http.MethodDelete, fmt.Sprintf("%s/%d", runners, id), nil)
		if busy != (g.status == http.StatusUnprocessableEntity) {
			return fmt.Errorf("removal of runner %d (busy: %t): %d", id, busy, g.status)
		}
		if g.status == http.StatusNoContent {
			p.removed[id] = true
		}
	}
	return nil
}

func (p *player) start(ctx context.Context, i int, job int64) error {
	id := p.ids[i]
	err := p.clients[i].Start(ctx, job)
	switch by, taken := p.started[job]; {
	case err != nil && (errors.Is(err, runnerproto.ErrLost) || errors.Is(err, runnerproto.ErrGone)):
	case err != nil:
		return err
	case taken && by != id:
		return fmt.Errorf("job %d was started by runner %d and by runner %d", job, by, id)
	case p.removed[id]:
		return fmt.Errorf("runner %d started a job after its removal", id)
	default:
		p.started[job] = id
	}
	return nil
}

// check holds the state against the rules.
func (p *player) check() error {
	st := p.s.State()
	running := map[int64]int64{}
	for _, j := range st.Jobs {
		if j.Starts > 1 || j.Starts > j.Assigned {
			return fmt.Errorf("job %d: assigned %d times, started %d times", j.ID, j.Assigned, j.Starts)
		}
		if j.Status != statusInProgress {
			continue
		}
		if other := running[j.RunnerID]; other != 0 {
			return fmt.Errorf("runner %d runs jobs %d and %d", j.RunnerID, other, j.ID)
		}
		running[j.RunnerID] = j.ID
	}
	for _, r := range st.Runners {
		if len(r.Jobs) > 1 {
			return fmt.Errorf("runner %d had jobs %v", r.ID, r.Jobs)
		}
		if r.Busy != (running[r.ID] != 0) {
			return fmt.Errorf("runner %d: busy %t, job %d", r.ID, r.Busy, running[r.ID])
		}
		if r.Busy && !r.RemovedAt.IsZero() {
			return fmt.Errorf("runner %d was removed with a job", r.ID)
		}
	}
	return nil
}

// drain gives every job that is left a healthy runner: none may be stuck.
func (p *player) drain() error {
	time.Sleep(11 * time.Minute) // leases and pick-ups run out
	for range 2 * len(p.jobs) {
		if !slices.ContainsFunc(p.s.Jobs(), func(j JobState) bool { return j.Status == statusQueued }) {
			break
		}
		if err := p.serve(fmt.Sprintf("drain-%d", len(p.ids))); err != nil {
			return err
		}
		time.Sleep(11 * time.Minute) // an old runner may have been given the next one, and sleep on it
	}
	for _, j := range p.s.Jobs() {
		if j.Status != statusCompleted {
			return fmt.Errorf("job %d is stuck: %+v", j.ID, j)
		}
	}
	return p.check()
}

// serve runs one healthy runner through a job, if it gets one.
func (p *player) serve(name string) error {
	c, id := p.mint(name, "self-hosted")
	p.clients, p.ids, p.has = append(p.clients, c), append(p.ids, id), append(p.has, 0)
	ctx := p.t.Context()
	if err := c.Open(ctx, name, "2.336.0"); err != nil {
		return err
	}
	m, err := c.Message(ctx, 0)
	if err != nil || m == nil {
		return err
	}
	if err := p.start(ctx, len(p.ids)-1, m.JobID); err != nil {
		return err
	}
	return c.Complete(ctx, m.JobID, runnerproto.Succeeded)
}

func TestManyRunnersAtOnceServeEachJobOnce(t *testing.T) {
	t.Run("over TCP", func(t *testing.T) { crowd(t, overListener(t, Options{Seed: 1}), 0) })
	t.Run("in virtual time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { crowd(t, inProcess(t, Options{Seed: 1}), time.Minute) })
	})
}

func crowd(t *testing.T, b *bench, lasting time.Duration) {
	const count = 40
	ids := b.s.AddJobs(JobSpec{Count: count / 2, Duration: lasting})
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		done []int64
	)
	for i := range count {
		c, _ := b.mint(fmt.Sprintf("r-%d", i), "self-hosted")
		wg.Go(func() {
			ctx := t.Context()
			if err := c.Open(ctx, "host", "2.336.0"); err != nil {
				t.Error(err)
				return
			}
			for {
				m, err := c.Message(ctx, 0)
				if err != nil {
					t.Error(err)
					return
				}
				if m == nil {
					continue
				}
				if err := c.Start(ctx, m.JobID); err != nil {
					t.Error(err)
					return
				}
				time.Sleep(m.Duration())
				if err := c.Complete(ctx, m.JobID, runnerproto.Succeeded); err != nil {
					t.Error(err)
				}
				mu.Lock()
				done = append(done, m.JobID)
				mu.Unlock()
				return
			}
		})
	}
	ids = append(ids, b.s.AddJobs(JobSpec{Count: count / 2, Duration: lasting})...)
	wg.Wait()
	slices.Sort(done)
	if !slices.Equal(done, ids) {
		t.Errorf("served %v\nwant   %v", done, ids)
	}
	for _, j := range b.s.Jobs() {
		if j.Starts != 1 || j.Conclusion != concluSuccess {
			t.Errorf("%+v", j)
		}
	}
}
