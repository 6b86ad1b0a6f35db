package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// version is what this stand-in says it is: a version that GitHub accepted at the end of 2026.
const (
	version = "2.335.1"
	commit  = "0000000000000000000000000000000000000000"
)

// Exit codes (actions/runner src/Runner.Common/Constants.cs, ReturnCode).
const (
	exitSuccess         = 0
	exitTerminated      = 1
	exitRetryable       = 2
	exitSessionConflict = 5
	exitDeprecated      = 7
	// exitUnloaded is .NET's for a process that SIGTERM ended.
	exitUnloaded = 128 + int(syscall.SIGTERM)
	// exitResult and up is the result of a job, with variableReturnResult.
	exitResult = 100
)

// Variables that change exit codes (Constants.cs, Variables).
const (
	variableReturnDeprecated = "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE"
	variableReturnResult     = "ACTIONS_RUNNER_RETURN_JOB_RESULT_FOR_HOSTED"
	variableAllowRoot        = "RUNNER_ALLOW_RUNASROOT"
)

// program is one call of the command.
type program struct {
	root    string // the runner's folder, the one that bin is in
	args    []string
	env     []string
	uid     int
	out     *terminal
	signals <-chan os.Signal
	// transport is nil but in tests.
	transport http.RoundTripper
	times     times
}

// times are the real runner's, but in tests.
type times struct {
	// sessionRetry is the pause between two tries to open a session; after conflictLimit of conflicts it gives up
	// (BrokerMessageListener.cs).
	sessionRetry  time.Duration
	conflictLimit time.Duration
	// pollShort is the shortest pause after each of the first pollErrors/2 failed polls, pollLong after the others.
	// Up to as much again is added (BrokerMessageListener.cs: 15 to 30 s, then 30 to 60 s).
	pollShort time.Duration
	pollLong  time.Duration
	// renew is how often the lease of a job is renewed; retry is the shortest pause between tries of calls about a
	// job, up to twice as much is added (RunnerService.cs: 5 to 15 s).
	renew time.Duration
	retry time.Duration
	// flush is how often the log of a job is sent.
	flush time.Duration
	// interrupt and terminate are how long a process has after SIGINT and SIGTERM (ProcessInvoker.cs).
	interrupt time.Duration
	terminate time.Duration
	// unload is how long SIGTERM waits for a job to be cancelled (Constants.cs, ExitOnUnloadTimeout).
	unload time.Duration
}

func realTimes() times {
	return times{
		sessionRetry: 30 * time.Second, conflictLimit: 4 * time.Minute,
		pollShort: 15 * time.Second, pollLong: 30 * time.Second,
		renew: time.Minute, retry: 5 * time.Second, flush: time.Second,
		interrupt: 7500 * time.Millisecond, terminate: 2500 * time.Millisecond, unload: 30 * time.Second,
	}
}

func main() {
	self, err := os.Executable()
	if err != nil {
		_, _ = io.WriteString(os.Stderr, "An error occurred: "+err.Error()+"\n")
		os.Exit(exitTerminated)
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	p := &program{
		root: filepath.Dir(filepath.Dir(self)), args: os.Args[1:], env: os.Environ(), uid: os.Getuid(),
		out: &terminal{out: os.Stdout, err: os.Stderr}, signals: signals, times: realTimes(),
	}
	os.Exit(p.main(context.Background()))
}

// main does what the arguments say and gives the exit code.
func (p *program) main(ctx context.Context) int {
	p.loadEnvFile()
	in := p.readInput()
	if len(in.unknown) > 0 {
		p.out.fail("Unrecognized command-line input arguments for command " + in.command + ": '" + joined(in.unknown) +
			"'. For usage refer to: .\\config.cmd --help or ./config.sh --help")
	}
	switch {
	case in.has("version"):
		p.out.say(version)
		return exitSuccess
	case in.has("commit"):
		p.out.say(commit)
		return exitSuccess
	case in.has("help"):
		p.out.say(usage)
		return exitSuccess
	}
	// The real check is in config.sh and run-helper.sh; the guests have neither.
	if p.uid == 0 && p.variable(variableAllowRoot) == "" && in.command != "" {
		p.out.fail("Must not run with sudo")
		return exitTerminated
	}
	switch {
	case in.command == "configure":
		return p.configure(ctx, in)
	case in.command == "remove":
		return p.remove(in)
	case in.has("warmup"): // there is nothing to compile
		return exitSuccess
	case in.command == "run":
		return p.run(ctx, in)
	}
	p.out.say(usage)
	return exitSuccess
}

const usage = `
Commands:
 ./config.sh         Configures the runner
 ./config.sh remove  Unconfigures the runner
 ./run.sh            Runs the runner interactively. Does not require any options.

Options:
 --help     Prints the help for each command
 --version  Prints the runner version
 --commit   Prints the runner commit`
