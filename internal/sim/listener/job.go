package main

import (
	"context"
	"errors"
	"sync"

	"mayfly/internal/sim/runnerproto"
)

// taskResult is how a job ended, in the real runner's numbers (actions/runner TaskResult.cs).
type taskResult int

// The results that come up here.
const (
	resultSucceeded taskResult = 0
	resultFailed    taskResult = 2
	resultCancelled taskResult = 3
	resultAbandoned taskResult = 5
)

// String is the real runner's word.
func (r taskResult) String() string {
	switch r {
	case resultSucceeded:
		return "Succeeded"
	case resultFailed:
		return "Failed"
	case resultCancelled:
		return "Canceled"
	case resultAbandoned:
		return "Abandoned"
	}
	return "Unknown"
}

// wire is what the server is told.
func (r taskResult) wire() runnerproto.Result {
	switch r {
	case resultSucceeded:
		return runnerproto.Succeeded
	case resultCancelled:
		return runnerproto.Cancelled
	}
	return runnerproto.Failed
}

// Why a job is stopped. All but the first two are said in its log.
var (
	errOver      = errors.New("the job is over")
	errAbandoned = errors.New("the job is no longer this runner's")
	errCancelled = errors.New("The operation was canceled.") //nolint:revive,staticcheck // the real runner's words, for the log
	// JobRunner.cs. The worker tells the server a failure (StepsRunner.cs), the listener prints that it was canceled
	// (JobDispatcher.cs).
	errShutdown  = errors.New("The runner has received a shutdown signal. This can happen when the runner service is stopped, or a manually started runner is canceled.") //nolint:revive,staticcheck // as above
	errQueueLost = errors.New("The message queue loop has ended.")                                                                                                        //nolint:revive,staticcheck // as above
)

// job is one job, running in goroutines of its own.
type job struct {
	*listener
	msg  runnerproto.Message
	log  *jobLog
	ctx  context.Context // ends when the job is to stop; its cause says why
	stop context.CancelCauseFunc
	done chan struct{} // closed at the end

	// What follows is set before done is closed.
	result taskResult
	told   bool // the server knows the result
	// shutDown says that the runner's own end stopped the job.
	shutDown bool
}

// begin starts a job that was acquired.
func (l *listener) begin(m runnerproto.Message) *job {
	j := &job{listener: l, msg: m, done: make(chan struct{})}
	// Not the program's context: a job that is stopped has still to tell its end.
	j.ctx, j.stop = context.WithCancelCause(context.Background())
	j.log = newJobLog(l, m.JobID)
	go func() {
		defer close(j.done)
		j.live()
	}()
	return j
}

// cancel stops the job; later reasons change nothing, nor does any once the steps are over.
func (j *job) cancel(why error) { j.stop(why) }

// live runs the job to its end and tells it.
func (j *job) live() {
	var side sync.WaitGroup
	ended, end := context.WithCancel(context.Background())
	side.Go(func() { j.renew(ended) })
	side.Go(func() { j.log.ship(ended) })

	j.result = j.work()
	j.stop(errOver)
	end()
	side.Wait()

	j.log.flush(context.Background(), true)
	if j.result != resultAbandoned {
		told := j.result.wire()
		if j.shutDown {
			told = runnerproto.Failed
		}
		err := j.retry(context.Background(), func(ctx context.Context) error {
			return j.client.Complete(ctx, j.msg.JobID, told)
		})
		j.told = err == nil
		if err != nil {
			j.out.fail(stamp() + "Job " + j.msg.Name + ": tell the result: " + err.Error())
		}
	}
	j.out.event("Job " + j.msg.Name + " completed with result: " + j.result.String())
}

// renew keeps the lease. A lease that is lost, or can't be renewed, ends the job; so does a cancellation that no
// message brought.
func (j *job) renew(ctx context.Context) {
	for sleep(ctx, j.times.renew) {
		var lease runnerproto.Lease
		err := j.retry(ctx, func(ctx context.Context) error {
			var err error
			lease, err = j.client.Renew(ctx, j.msg.JobID)
			return err
		})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			j.cancel(errAbandoned)
			return
		case lease.Cancelled:
			j.cancel(errCancelled)
		}
	}
}

// outcome is the result of a job whose steps ended so.
func (j *job) outcome(failed bool) taskResult {
	switch cause := context.Cause(j.ctx); {
	case cause == nil && failed:
		return resultFailed
	case cause == nil:
		return resultSucceeded
	case errors.Is(cause, errAbandoned):
		return resultAbandoned
	default:
		return resultCancelled
	}
}
