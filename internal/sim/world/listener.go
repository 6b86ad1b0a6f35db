package world

import (
	"context"
	"errors"
	"sync"
	"time"

	"mayfly/internal/sim/runnerproto"
)

// Exit codes of the listener (actions/runner Constants.cs, TerminateCode).
const (
	exitOK              = 0
	exitTerminated      = 1
	exitRetryable       = 2
	exitUpdating        = 3
	exitRunOnceUpdating = 4
	exitConflict        = 5
	exitDeprecated      = 7
)

// Waits of the listener (actions/runner BrokerMessageListener.cs, RunnerService.cs).
const (
	sessionRetry   = 30 * time.Second
	conflictLimit  = 4 * time.Minute
	pollRetry      = 20 * time.Second
	maxPollErrors  = 10
	callRetry      = 5 * time.Second
	maxCallTries   = 5
	farewellLimit  = 10 * time.Second
	completeWithin = 2 * time.Minute
)

// listening is one run of Runner.Listener.
type listening struct {
	m       *machine
	cfg     runnerproto.Config
	client  *runnerproto.Client
	maxWait time.Duration
	policy  policy
}

// run opens a session, takes one job and does it. It returns the exit code and, after a job, the job's result.
func (l *listening) run(ctx context.Context) (int, runnerproto.Result) {
	idle, cancel := context.WithTimeout(ctx, l.maxWait)
	defer cancel()
	if l.m.behaviour == NeverRegisters {
		<-idle.Done() // as a listener that tries again and again to open its session
		return waited(ctx), ""
	}
	if l.m.behaviour == GivesUp {
		return exitTerminated, ""
	}
	if code, ok := l.open(idle); !ok {
		if idle.Err() != nil {
			code = waited(ctx)
		}
		return code, ""
	}
	defer l.close()
	for failures := 0; ; {
		msg, err := l.client.Message(idle, 0)
		switch {
		case idle.Err() != nil:
			return waited(ctx), ""
		case errors.Is(err, runnerproto.ErrGone):
			return exitOK, ""
		case errors.Is(err, runnerproto.ErrDeprecated):
			return exitDeprecated, ""
		case errors.Is(err, runnerproto.ErrUnavailable):
			if failures++; failures >= maxPollErrors {
				return exitRetryable, ""
			}
			sleep(idle, pollRetry)
			continue
		case err != nil:
			return exitTerminated, ""
		}
		failures = 0
		if msg == nil || msg.Type != runnerproto.JobRequest || l.m.behaviour == Ghost {
			continue
		}
		start := func(ctx context.Context) error { return l.client.Start(ctx, msg.JobID) }
		if l.again(ctx, start) != nil {
			continue // no longer ours; it listens on, even if its registration is used up (actions/runner#4617)
		}
		return l.work(ctx, *msg)
	}
}

// waited is the exit code of a listener that was ended before it had a job: no job within max-wait is an ordinary end,
// max-life or the power is none.
func waited(ctx context.Context) int {
	if ctx.Err() != nil {
		return exitTerminated
	}
	return exitOK
}

// open opens the session; where that is hopeless it gives an exit code.
func (l *listening) open(ctx context.Context) (int, bool) {
	for conflicts := time.Duration(0); ; {
		err := l.client.Open(ctx, l.m.hostname(), l.m.g.opts.VersionOf(l.m.Machine))
		switch {
		case err == nil:
			return exitOK, true
		case ctx.Err() != nil:
			return exitOK, false
		case errors.Is(err, runnerproto.ErrDeprecated):
			return exitDeprecated, false
		case errors.Is(err, runnerproto.ErrConflict):
			if conflicts += sessionRetry; conflicts > conflictLimit {
				return exitConflict, false
			}
		case !errors.Is(err, runnerproto.ErrUnavailable):
			return exitTerminated, false
		}
		if !sleep(ctx, sessionRetry) {
			return exitOK, false
		}
	}
}

// close says farewell, unless the power went.
func (l *listening) close() {
	if l.m.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(l.m.ctx, farewellLimit)
	defer cancel()
	_ = l.client.Close(ctx) // a registration that did its job is gone, and its session with it
}

// again tries a call a few times while the server can't be reached.
func (l *listening) again(ctx context.Context, call func(context.Context) error) error {
	for try := 1; ; try++ {
		err := call(ctx)
		if !errors.Is(err, runnerproto.ErrUnavailable) || try == maxCallTries || !sleep(ctx, callRetry) {
			return err
		}
	}
}

// errCancelled stops a job that somebody cancelled.
var errCancelled = errors.New("the operation was canceled")

// work does the job that was started and tells its end.
func (l *listening) work(ctx context.Context, msg runnerproto.Message) (int, runnerproto.Result) {
	l.m.once.mu.Lock()
	l.m.once.jobStarted = true
	l.m.once.mu.Unlock()
	l.m.disk.remove(identityPath)
	l.m.log.Debug("job started", "job", msg.JobID)
	jobCtx, stop := context.WithCancelCause(ctx)
	var side sync.WaitGroup
	side.Go(func() { l.heed(jobCtx, stop) })
	side.Go(func() { l.renew(jobCtx, stop, msg.JobID) })
	result := l.m.do(jobCtx, msg, l.policy, func(text string) { _ = l.client.Log(ctx, msg.JobID, text) })
	cause := context.Cause(jobCtx)
	lost := errors.Is(cause, runnerproto.ErrLost)
	if cause != nil {
		result = runnerproto.Cancelled // by somebody, or by max-life, which ends the listener with a signal
	}
	stop(nil)
	side.Wait()
	if l.m.ctx.Err() != nil {
		return exitTerminated, "" // the power went in the middle of it
	}
	if lost {
		result = "" // abandoned: nobody is told, and the contract calls it infrastructure
	} else {
		tell, cancel := context.WithTimeout(l.m.ctx, completeWithin)
		defer cancel()
		if err := l.again(tell, func(ctx context.Context) error { return l.client.Complete(ctx, msg.JobID, result) }); err != nil {
			l.m.log.Debug("result not told", "job", msg.JobID, "reason", err)
		}
	}
	if l.m.behaviour == HangsAfterJob {
		<-ctx.Done()
	}
	return exitOK, result
}

// heed listens for a cancellation while the job runs.
func (l *listening) heed(ctx context.Context, stop context.CancelCauseFunc) {
	for ctx.Err() == nil {
		msg, err := l.client.Message(ctx, 0)
		switch {
		case err == nil && msg != nil && msg.Type == runnerproto.JobCancellation:
			stop(errCancelled)
			return
		case errors.Is(err, runnerproto.ErrUnavailable):
			sleep(ctx, pollRetry)
		case err != nil:
			return // the registration went: the lease tells what becomes of the job
		}
	}
}

// renew keeps the job's lease, and hears of a cancellation that no message brought.
func (l *listening) renew(ctx context.Context, stop context.CancelCauseFunc, job int64) {
	for sleep(ctx, runnerproto.RenewInterval) {
		var lease runnerproto.Lease
		err := l.again(ctx, func(ctx context.Context) error {
			var err error
			lease, err = l.client.Renew(ctx, job)
			return err
		})
		switch {
		case errors.Is(err, runnerproto.ErrLost), errors.Is(err, runnerproto.ErrGone):
			stop(runnerproto.ErrLost)
			return
		case err == nil && lease.Cancelled:
			stop(errCancelled)
			return
		}
	}
}
