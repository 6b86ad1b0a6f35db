package demand

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"mayfly/internal/runner"
)

// JobLister is the part of a GitHub client that a [Poll] needs. Jobs returns a target's jobs that aren't completed,
// all of them or an error.
type JobLister interface {
	Jobs(ctx context.Context, t runner.Target) ([]runner.Job, error)
}

// wholeRead bounds a read whose context has no deadline.
const wholeRead = 2 * time.Minute

// Poll is a [Source] that asks for each target's jobs. It is safe for concurrent use.
type Poll struct {
	client JobLister
	log    *slog.Logger

	mu      sync.Mutex
	targets []runner.Target
	last    map[runner.Target]known
}

// known is the last good read of a target.
type known struct {
	jobs []runner.Job
	at   time.Time
}

// NewPoll returns a source over targets; one that is named twice is asked once. logger may be nil.
func NewPoll(client JobLister, targets []runner.Target, logger *slog.Logger) *Poll {
	p := &Poll{client: client, log: cmp.Or(logger, slog.New(slog.DiscardHandler)), last: map[runner.Target]known{}}
	p.Retarget(targets)
	return p
}

// Retarget has the next read ask for other targets.
func (p *Poll) Retarget(targets []runner.Target) {
	var list []runner.Target
	for _, t := range targets {
		if !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.targets = list
	maps.DeleteFunc(p.last, func(t runner.Target, _ known) bool { return !slices.Contains(list, t) })
}

// now are the targets that are asked.
func (p *Poll) now() []runner.Target {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.targets // never changed in place
}

// Read asks about one target after the other, as GitHub wishes (docs, "Best practices for using the REST API": no
// concurrent requests), in the order given. Each gets an equal share of the time that is left, so that one that hangs
// can't keep the others from being read.
func (p *Poll) Read(ctx context.Context) (Reading, error) {
	r := Reading{At: time.Now(), Partial: map[runner.Target]error{}, Stale: map[runner.Target]time.Time{}}
	ctx, cancel := context.WithTimeout(ctx, wholeRead)
	defer cancel()
	var errs []error
	targets := p.now()
	for i, t := range targets {
		began := time.Now()
		jobs, err := p.ask(ctx, t, len(targets)-i)
		if err != nil {
			errs = append(errs, err)
			r.Partial[t] = err
			p.log.Debug("target not read", "target", t.String(), "took", time.Since(began), "reason", err)
			old, ever := p.recall(t)
			if ever {
				r.Stale[t] = old.at
			}
			jobs = old.jobs
		} else {
			p.keep(t, known{jobs: jobs, at: began})
		}
		r.Jobs = append(r.Jobs, jobs...)
	}
	if len(errs) > 0 && len(errs) == len(targets) && len(r.Stale) == 0 {
		return r, fmt.Errorf("read jobs: %w", allErrors(errs))
	}
	return r, nil
}

// ask reads one target, with its share of the time left for it and the others after it.
func (p *Poll) ask(ctx context.Context, t runner.Target, left int) ([]runner.Job, error) {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
	defer cancel()
	return p.client.Jobs(ctx, t)
}

func (p *Poll) recall(t runner.Target) (known, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, ever := p.last[t]
	return k, ever
}

// keep remembers a good read, unless one that began later is known.
func (p *Poll) keep(t runner.Target, k known) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k.at.Before(p.last[t].at) {
		return
	}
	k.jobs = slices.Clone(k.jobs)
	p.last[t] = k
}

// allErrors is several errors in one line.
type allErrors []error

func (a allErrors) Error() string {
	words := make([]string, len(a))
	for i, err := range a {
		words[i] = err.Error()
	}
	return strings.Join(words, "; ")
}

func (a allErrors) Unwrap() []error { return a }

// Age is how old the oldest part of the reading was at a time; zero for one that is all new.
func (r Reading) Age(now time.Time) time.Duration {
	var oldest time.Duration
	for at := range maps.Values(r.Stale) {
		oldest = max(oldest, now.Sub(at))
	}
	return oldest
}
