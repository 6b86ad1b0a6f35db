package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"mayfly/internal/sim/runnerproto"
)

// run is the command of that name: unpack the JIT configuration, if there is one, and serve.
func (p *program) run(ctx context.Context, in input) int {
	if encoded := in.values["jitconfig"]; encoded != "" {
		if err := p.saveConfig(encoded); err != nil {
			p.out.fail(err.Error())
			return exitTerminated
		}
	}
	if !p.configured() {
		p.out.fail("Runner is not configured.")
		p.out.say(usage)
		return exitTerminated
	}
	cfg, err := p.loadConfig()
	if err != nil {
		p.out.fail(err.Error())
		return exitTerminated
	}
	ctx, caught, stop := p.untilSignal(ctx)
	defer stop()
	returnResult := p.isSet(variableReturnResult)
	l := &listener{
		program: p, cfg: cfg, client: runnerproto.NewClient(cfg, p.transport),
		once: in.has("once") || cfg.Ephemeral || returnResult, returnResult: returnResult,
	}
	code := l.serve(ctx)
	select {
	case s := <-caught:
		if s == syscall.SIGTERM {
			return exitUnloaded
		}
	default:
	}
	return code
}

// untilSignal gives a context that the first signal ends, and the signal.
func (p *program) untilSignal(parent context.Context) (ctx context.Context, caught <-chan os.Signal, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	got := make(chan os.Signal, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case s := <-p.signals:
			p.out.say("Exiting...")
			got <- s
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, got, func() {
		cancel()
		<-ended
	}
}

// listener is a configured runner.
type listener struct {
	*program
	cfg          runnerproto.Config
	client       *runnerproto.Client
	once         bool // ends after one job
	returnResult bool // ends with the job's result as exit code
}

// serve opens a session and takes jobs until ctx ends, one job is done (once), or the server doesn't want the runner
// any more.
func (l *listener) serve(ctx context.Context) int {
	if code, ok := l.open(ctx); !ok {
		return code
	}
	defer l.closeSession(ctx)
	l.out.say("Current runner version: '" + version + "'")
	l.out.event("Listening for Jobs")
	return l.listen(ctx)
}

// closeTimeout bounds the farewell (BrokerMessageListener.cs, DeleteSessionAsync).
const closeTimeout = 30 * time.Second

// closeSession ends the session. An ephemeral registration that did its job is gone already, and with it the session.
func (l *listener) closeSession(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = l.client.Close(ctx)
}

// deprecated is the exit code for a version that the server refuses.
func (l *listener) deprecated() int {
	l.out.fail("An error occurred: Runner version v" + version + " is deprecated and cannot receive messages.")
	if l.isSet(variableReturnDeprecated) {
		return exitDeprecated
	}
	return exitTerminated
}

// open opens the session; where that is hopeless it gives an exit code.
func (l *listener) open(ctx context.Context) (code int, ok bool) {
	owner, _ := os.Hostname() // only shown
	var conflicts time.Duration
	told := false
	for {
		err := l.client.Open(ctx, owner, version)
		var refusal *runnerproto.Error
		if err == nil || (errors.As(err, &refusal) && refusal.Status != 0) {
			l.out.say("\n√ Connected to GitHub\n")
		}
		switch {
		case err == nil:
			if told {
				l.out.event("Runner reconnected.")
			}
			return exitSuccess, true
		case ctx.Err() != nil:
			return exitSuccess, false
		case errors.Is(err, runnerproto.ErrDeprecated):
			return l.deprecated(), false
		case errors.Is(err, runnerproto.ErrGone):
			l.out.fail("The runner no longer exists on the server. Please reconfigure the runner.")
			l.out.fail("Failed to create a session. " + err.Error())
			return exitTerminated, false
		case errors.Is(err, runnerproto.ErrConflict):
			l.out.fail("A session for this runner already exists.")
			if conflicts += l.times.sessionRetry; conflicts > l.times.conflictLimit {
				l.out.fail("Stop retry on SessionConflictException after retried for " + l.times.conflictLimit.String() + ".")
				l.out.fail("Failed to create a session. " + err.Error())
				return exitSessionConflict, false
			}
		case !errors.Is(err, runnerproto.ErrUnavailable):
			l.out.fail("Failed to create a session. " + err.Error())
			return exitTerminated, false
		}
		if !told { // only the first time
			told = true
			l.out.fail(stamp() + "Runner connect error: " + err.Error() + ". Retrying until reconnected.")
		}
		if !sleep(ctx, l.times.sessionRetry) {
			return exitSuccess, false
		}
	}
}

// maxTries is how often a call about a job is tried (RunnerService.cs).
const maxTries = 5

// retry tries a call again while the server can't be reached, or says that it isn't well.
func (l *listener) retry(ctx context.Context, call func(context.Context) error) error {
	for try := 1; ; try++ {
		err := call(ctx)
		if !errors.Is(err, runnerproto.ErrUnavailable) || try == maxTries {
			return err
		}
		if !sleep(ctx, l.times.retry+jitter(2*l.times.retry)) {
			return err
		}
	}
}

// sleep waits; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// jitter is a random part of d.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}
