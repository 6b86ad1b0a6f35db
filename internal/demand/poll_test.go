package demand

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"mayfly/internal/runner"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ Source = (*Poll)(nil)

var (
	one   = runner.Target{Owner: "octo-org", Repo: "one"}
	two   = runner.Target{Owner: "octo-org", Repo: "two"}
	three = runner.Target{Owner: "octo-org", Repo: "three"}
)

var errDown = errors.New("down")

// lister is a GitHub of functions.
type lister func(ctx context.Context, t runner.Target) ([]runner.Job, error)

func (l lister) Jobs(ctx context.Context, t runner.Target) ([]runner.Job, error) { return l(ctx, t) }

func job(t runner.Target, id int64) runner.Job {
	return runner.Job{ID: id, Target: t, Status: runner.JobQueued}
}

func read(t *testing.T, p *Poll) Reading {
	t.Helper()
	r, err := p.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAllTargetsAreReadInTheOrderGiven(t *testing.T) {
	var asked []runner.Target
	p := NewPoll(lister(func(_ context.Context, target runner.Target) ([]runner.Job, error) {
		asked = append(asked, target)
		return []runner.Job{job(target, int64(len(asked)))}, nil
	}), []runner.Target{two, one, two, three}, nil)
	r := read(t, p)
	if d := cmp.Diff([]runner.Target{two, one, three}, asked); d != "" {
		t.Errorf("each is asked once: %s", d)
	}
	if d := cmp.Diff([]runner.Job{job(two, 1), job(one, 2), job(three, 3)}, r.Jobs); d != "" {
		t.Error(d)
	}
	if len(r.Partial) != 0 || len(r.Stale) != 0 || r.Age(time.Now()) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestFailedTargetKeepsItsLastJobsAndHidesNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := map[runner.Target]bool{}
		next := int64(0)
		p := NewPoll(lister(func(_ context.Context, target runner.Target) ([]runner.Job, error) {
			time.Sleep(time.Second)
			if down[target] {
				return nil, errDown
			}
			next++
			return []runner.Job{job(target, next)}, nil
		}), []runner.Target{one, two}, nil)
		start := time.Now()
		if r := read(t, p); !r.At.Equal(start) {
			t.Errorf("the read began %v after it did", r.At.Sub(start))
		}
		down[one] = true
		for range 3 {
			time.Sleep(15 * time.Second)
			r := read(t, p)
			if len(r.Jobs) != 2 || r.Jobs[0].ID != 1 || r.Jobs[1].Target != two || r.Jobs[1].ID != next {
				t.Errorf("%+v", r.Jobs)
			}
			if !errors.Is(r.Partial[one], errDown) || len(r.Partial) != 1 {
				t.Errorf("%v", r.Partial)
			}
			if d := cmp.Diff(map[runner.Target]time.Time{one: start}, r.Stale); d != "" {
				t.Error(d)
			}
			if r.Age(time.Now()) != time.Since(start) {
				t.Errorf("age %v of %v", r.Age(time.Now()), time.Since(start))
			}
		}
		down[one] = false
		if r := read(t, p); len(r.Partial)+len(r.Stale) != 0 || r.Jobs[0].ID == 1 {
			t.Errorf("after it heals: %+v", r)
		}
	})
}

func TestTargetNeverReadIsNamedAndHasNoAge(t *testing.T) {
	p := NewPoll(lister(func(_ context.Context, target runner.Target) ([]runner.Job, error) {
		if target == two {
			return nil, errDown
		}
		return []runner.Job{}, nil
	}), []runner.Target{one, two}, nil)
	r := read(t, p)
	if _, stale := r.Stale[two]; stale || !errors.Is(r.Partial[two], errDown) || len(r.Jobs) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestReadFailsWhenThereIsNothingToTell(t *testing.T) {
	up := false
	p := NewPoll(lister(func(_ context.Context, target runner.Target) ([]runner.Job, error) {
		if up {
			return nil, nil
		}
		return nil, fmt.Errorf("list jobs of %s: %w", target, errDown)
	}), []runner.Target{one, two}, nil)
	r, err := p.Read(t.Context())
	if !errors.Is(err, errDown) || !strings.Contains(err.Error(), one.String()) || !strings.Contains(err.Error(), two.String()) || len(r.Partial) != 2 || strings.Contains(err.Error(), "\n") {
		t.Errorf("%+v, %v", r, err)
	}
	up = true
	read(t, p)
	up = false
	if r := read(t, p); len(r.Partial) != 2 || len(r.Stale) != 2 {
		t.Errorf("what is known stays known: %+v", r)
	}
}

func TestHangingTargetLeavesTheOthersTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPoll(lister(func(ctx context.Context, target runner.Target) ([]runner.Job, error) {
			if target == one {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			time.Sleep(2 * time.Second)
			return []runner.Job{job(target, 1)}, ctx.Err()
		}), []runner.Target{one, two, three}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		r, err := p.Read(ctx)
		if err != nil || len(r.Jobs) != 2 || !errors.Is(r.Partial[one], context.DeadlineExceeded) || len(r.Partial) != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		start := time.Now()
		r, err = p.Read(t.Context())
		if err != nil || len(r.Jobs) != 2 || time.Since(start) > wholeRead {
			t.Errorf("without a deadline, after %v: %+v, %v", time.Since(start), r, err)
		}
	})
}

func TestReadsAtOnceDontMixUp(t *testing.T) {
	p := NewPoll(lister(func(_ context.Context, target runner.Target) ([]runner.Job, error) {
		return []runner.Job{job(target, 1)}, nil
	}), []runner.Target{one, two}, nil)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if r, err := p.Read(t.Context()); err != nil || len(r.Jobs) != 2 {
					t.Errorf("%+v, %v", r, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestLateReplyOfAnEarlierReadReplacesNothing(t *testing.T) {
	p := NewPoll(nil, []runner.Target{one}, nil)
	now := time.Now()
	p.keep(one, known{jobs: []runner.Job{job(one, 2)}, at: now})
	p.keep(one, known{jobs: []runner.Job{job(one, 1)}, at: now.Add(-time.Second)})
	if k, _ := p.recall(one); k.jobs[0].ID != 2 {
		t.Errorf("%+v", k)
	}
}

func TestPropertySilenceIsNeverNoJobs(t *testing.T) {
	targets := []runner.Target{one, two, three}
	rapid.Check(t, func(rt *rapid.T) {
		server := map[runner.Target][]runner.Job{}
		lastSeen := map[runner.Target][]runner.Job{}
		down := map[runner.Target]bool{}
		p := NewPoll(lister(func(_ context.Context, target runner.Target) ([]runner.Job, error) {
			if down[target] {
				return nil, errDown
			}
			return slices.Clone(server[target]), nil
		}), targets, nil)
		for range rapid.IntRange(1, 12).Draw(rt, "reads") {
			failed := 0
			for _, target := range targets {
				down[target] = rapid.Bool().Draw(rt, "down")
				server[target] = nil
				for id := range rapid.Int64Range(0, 4).Draw(rt, "jobs") {
					server[target] = append(server[target], job(target, id))
				}
				if down[target] {
					failed++
				} else {
					lastSeen[target] = server[target]
				}
			}
			r, err := p.Read(t.Context())
			var want []runner.Job
			for _, target := range targets {
				want = append(want, lastSeen[target]...)
				_, told := r.Partial[target]
				_, ever := lastSeen[target]
				_, stale := r.Stale[target]
				if told != down[target] || stale != (told && ever) {
					rt.Fatalf("%s: down %v, told %v, stale %v", target, down[target], told, stale)
				}
			}
			if d := cmp.Diff(want, r.Jobs); d != "" {
				rt.Fatal(d)
			}
			if (err != nil) != (len(lastSeen) == 0) {
				rt.Fatalf("%d failed: %v", failed, err)
			}
		}
	})
}
