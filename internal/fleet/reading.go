package fleet

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// read starts a reading of GitHub.
func (c *Controller) read(ctx context.Context) {
	c.reading = true
	c.lastRead = time.Now()
	targets := c.spec.Targets()
	c.steps.Go(func() {
		c.sequence.Turn(ctx, "read")
		q := c.gather.queue(ctx, targets)
		c.send(ctx, func(now time.Time) {
			c.reading = false
			c.nextRead = now.Add(c.spec.PollInterval)
			c.tookQueue(q, now)
		})
	})
}

func (c *Controller) tookQueue(q queue, now time.Time) {
	first := !c.queueSeen
	c.queueSeen = true
	c.queue = q
	c.ledger.absorbQueue(c.spec, q)
	c.progress.polledTargets(c.spec.Targets(), q, now)
	c.progress.queue(q, c.ledger.runners)
	c.leave()
	c.noticeAt(q.at)
	c.judgeAnswers(q, first, now)
	if until := q.limited(); until.After(c.nextRead) {
		c.nextRead = until
	}
}

// judgeAnswers keeps how GitHub answers. A target in trouble is told of by itself, and the others are read as ever; only
// where none answers is GitHub asked less often.
func (c *Controller) judgeAnswers(q queue, first bool, now time.Time) {
	targets := c.spec.Targets()
	var failed failedErrors
	mends := false
	for _, t := range targets {
		h, err := c.targets[t], q.failed[t]
		if err == nil {
			if h.ok(now) {
				c.log.Info("github answers", "target", t.String())
			}
			c.targets[t] = h
			continue
		}
		failed, mends = append(failed, err), mends || !hopeless(err)
		c.log.Log(context.Background(), newsLevel(h.fail(err, now)), "github unreachable", "target", t.String(), "reason", err, "failures", h.failures)
		c.targets[t] = h
	}
	maps.DeleteFunc(c.targets, func(t runner.Target, _ health) bool { return !slices.Contains(targets, t) })
	switch {
	case len(failed) == 0:
		c.github.ok(now)
	case len(failed) < len(targets):
		c.github.partly(failed, now)
	default:
		c.github.fail(failed, now)
		c.nextRead = now.Add(c.retryAfter(c.github.failures))
		if first && !mends {
			c.endIfHopeless(c.github, failed)
		}
	}
}

// failedErrors is what is wrong with several targets, in one line.
type failedErrors []error

func (a failedErrors) Error() string {
	words := make([]string, len(a))
	for i, err := range a {
		words[i] = err.Error()
	}
	return strings.Join(words, "; ")
}

func (a failedErrors) Unwrap() []error { return a }
