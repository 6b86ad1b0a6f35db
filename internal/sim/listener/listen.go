package main

import (
	"context"
	"errors"
	"sync"

	"mayfly/internal/sim/runnerproto"
)

// maxPollErrors is how many polls in a row may fail (BrokerMessageListener.cs).
const maxPollErrors = 10

// listen is the message loop. When it returns, no job runs and no goroutine of it is left.
func (l *listener) listen(ctx context.Context) int {
	polling, stopPolling := context.WithCancel(ctx)
	messages := make(chan runnerproto.Message)
	hopeless := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.poll(polling, messages); err != nil {
			hopeless <- err
		}
	})
	defer wg.Wait()
	defer stopPolling()

	var running *job
	var done <-chan struct{} // closed when running has ended
	for {
		select {
		case m := <-messages:
			switch {
			case m.Type == runnerproto.JobCancellation && running != nil && running.msg.JobID == m.JobID:
				running.cancel(errCancelled)
			case m.Type == runnerproto.JobRequest && running == nil:
				if running = l.take(ctx, m); running != nil {
					done = running.done
				}
			}
		case <-done:
			if l.once {
				return l.finished(running)
			}
			running, done = nil, nil
		case err := <-hopeless:
			if running != nil {
				// A job that has just told its end took the registration with it.
				running.cancel(errQueueLost)
				<-done
				if running.told {
					return l.finished(running)
				}
			}
			return l.lost(err)
		case <-ctx.Done():
			if running != nil {
				running.cancel(errShutdown)
				l.awaitUnload(done)
			}
			return exitSuccess
		}
	}
}

// awaitUnload waits for a job that was cancelled, but not for ever: whoever sent the signal comes with the next one.
func (l *listener) awaitUnload(done <-chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), l.times.unload)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// take acquires the job of a message. One that is no longer this runner's is skipped, and the runner listens on, even
// where its registration was good for one job only (actions/runner#4617).
func (l *listener) take(ctx context.Context, m runnerproto.Message) *job {
	err := l.retry(ctx, func(ctx context.Context) error { return l.client.Start(ctx, m.JobID) })
	if err != nil {
		return nil
	}
	l.out.event("Running job: " + m.Name)
	return l.begin(m)
}

// finished ends a runner that was good for one job.
func (l *listener) finished(j *job) int {
	if l.cfg.Ephemeral {
		l.deleteConfig()
	}
	if l.returnResult {
		return exitResult + int(j.result)
	}
	return exitSuccess
}

// lost ends a runner that can't poll any more.
func (l *listener) lost(err error) int {
	switch {
	case errors.Is(err, runnerproto.ErrGone):
		l.out.fail("The runner no longer exists on the server. Please reconfigure the runner.")
		l.deleteConfig()
		return exitSuccess
	case errors.Is(err, runnerproto.ErrDeprecated):
		return l.deprecated()
	case errors.Is(err, runnerproto.ErrUnavailable):
		l.out.fail("An error occurred: " + err.Error())
		return exitRetryable
	}
	l.out.fail("An error occurred: Get next message failed with non-retryable error. " + err.Error())
	return exitTerminated
}

// poll passes messages on until ctx ends (then it returns nil) or polling is hopeless.
func (l *listener) poll(ctx context.Context, messages chan<- runnerproto.Message) error {
	failures := 0
	for {
		m, err := l.client.Message(ctx, 0)
		switch {
		case ended(ctx):
			return nil
		case err == nil:
			if failures > 0 {
				l.out.event("Runner reconnected.")
			}
			failures = 0
			if m == nil {
				continue
			}
			select {
			case messages <- *m:
			case <-ctx.Done():
				return nil
			}
		case !errors.Is(err, runnerproto.ErrUnavailable):
			return err
		default:
			if failures++; failures >= maxPollErrors {
				return err
			}
			if failures == 1 {
				l.out.fail(stamp() + "Runner connect error: " + err.Error() + ". Retrying until reconnected.")
			}
			pause := l.times.pollShort
			if failures > maxPollErrors/2 {
				pause = l.times.pollLong
			}
			if !sleep(ctx, pause+jitter(pause)) {
				return nil
			}
		}
	}
}

// ended reports whether a context is over, whatever a call in it says.
func ended(ctx context.Context) bool { return ctx.Err() != nil }
