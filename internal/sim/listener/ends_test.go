package main

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"mayfly/internal/sim/runnerproto"
)

// stubborn ignores what can be ignored, and says who it and its child are.
const stubborn = `trap '' INT TERM
sleep 1000 &
echo $$ $! >"$HOME/pids.new"; mv "$HOME/pids.new" "$HOME/pids"
while :; do sleep 1000; done`

// startStubborn runs a job that only a kill ends, and waits until it is under way.
func startStubborn(t *testing.T, f *fake, r *runner) {
	t.Helper()
	f.messages <- steps(stubborn, "echo second")
	r.start("run", "--jitconfig", f.config(true))
	r.until("the step's processes", func() bool { _, err := os.Stat(r.home + "/pids"); return err == nil })
}

// wantNoProcess looks for what startStubborn started.
func wantNoProcess(t *testing.T, r *runner) {
	t.Helper()
	text, err := os.ReadFile(r.home + "/pids")
	if err != nil {
		t.Fatal(err)
	}
	for pid := range strings.FieldsSeq(string(text)) {
		r.until("end of process "+pid, func() bool {
			status, err := os.ReadFile("/proc/" + pid + "/stat")
			return err != nil || strings.Contains(string(status), ") Z ")
		})
	}
}

func TestCancellationKillsTheWholeProcessGroup(t *testing.T) {
	cancel := map[string]func(*fake){
		"by message": func(f *fake) { f.messages <- runnerproto.Message{Type: runnerproto.JobCancellation, JobID: 11} },
		"by lease":   func(f *fake) { f.mu.Lock(); f.cancelled = true; f.mu.Unlock() },
	}
	for name, do := range cancel {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			r := newRunner(t)
			startStubborn(t, f, r)
			f.messages <- runnerproto.Message{Type: runnerproto.JobCancellation, JobID: 99} // another's
			do(f)
			if code := r.wait(); code != 0 || f.resultOf(11) != runnerproto.Cancelled {
				t.Errorf("exit code %d, told %q", code, f.resultOf(11))
			}
			r.wantPrinted("Job build completed with result: Canceled\n")
			if log := f.logged(); !strings.Contains(log, "##[error]The operation was canceled.") || strings.Contains(log, "Z second\n") {
				t.Errorf("log:\n%s", log)
			}
			wantNoProcess(t, r)
		})
	}
}

func TestSignalsCancelTheJobAndSayWhy(t *testing.T) {
	for s, want := range map[syscall.Signal]int{syscall.SIGINT: 0, syscall.SIGTERM: 143} {
		f := newFake(t)
		r := newRunner(t)
		startStubborn(t, f, r)
		r.signals <- s
		if code := r.wait(); code != want || f.resultOf(11) != runnerproto.Failed {
			t.Errorf("%v: exit code %d, want %d; told %q", s, code, want, f.resultOf(11))
		}
		if !strings.Contains(f.logged(), "##[error]The runner has received a shutdown signal") {
			t.Errorf("%v: log:\n%s", s, f.logged())
		}
		if f.count("DELETE /sessions/s1") != 1 {
			t.Errorf("%v: session left open", s)
		}
		wantNoProcess(t, r)
	}
}

func TestWhatAStepLeavesRunningEndsWithTheJob(t *testing.T) {
	f := newFake(t)
	r := newRunner(t)
	f.messages <- steps(`setsid sh -c 'echo $$ >"$HOME/pids"; exec sleep 1000' >/dev/null 2>&1 & sleep 0.2`)
	r.start("run", "--jitconfig", f.config(true))
	if code := r.wait(); code != 0 || f.resultOf(11) != runnerproto.Succeeded {
		t.Errorf("exit code %d, told %q", code, f.resultOf(11))
	}
	wantNoProcess(t, r)
}

func TestExitCodesOfRunnersThatNeverListen(t *testing.T) {
	cases := map[string]struct {
		status   int
		typeName string
		times    int
		env      string
		want     int
		print    string
	}{
		"registration gone":      {http.StatusNotFound, "", 1, "", exitTerminated, "The runner no longer exists on the server"},
		"wrong token":            {http.StatusUnauthorized, "", 1, "", exitTerminated, "Failed to create a session"},
		"session conflict":       {http.StatusConflict, "", 100, "", exitSessionConflict, "A session for this runner already exists"},
		"version refused":        {http.StatusBadRequest, "RunnerVersionDeprecatedException", 1, "", exitTerminated, "is deprecated and cannot receive messages"},
		"version refused, asked": {http.StatusBadRequest, "RunnerVersionDeprecatedException", 1, variableReturnDeprecated + "=1", exitDeprecated, "is deprecated"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.refuseNext("POST /sessions", c.times, c.status, c.typeName)
			r := newRunner(t, c.env)
			r.start("run", "--jitconfig", f.config(true))
			if code := r.wait(); code != c.want {
				t.Errorf("exit code %d, want %d", code, c.want)
			}
			r.wantPrinted(c.print)
			if strings.Contains(r.printed.String(), "Listening") {
				t.Errorf("it listens:\n%s", r.printed)
			}
		})
	}
}

func TestATroubledServerIsTriedAgain(t *testing.T) {
	f := newFake(t)
	for _, call := range []string{"POST /sessions", "GET /message", "POST /jobs/11/start", "POST /jobs/11/complete", "POST /jobs/11/log"} {
		f.refuseNext(call, 3, http.StatusServiceUnavailable, "")
	}
	r := newRunner(t)
	f.messages <- steps("echo hello")
	r.start("run", "--jitconfig", f.config(true))
	if code := r.wait(); code != 0 || f.resultOf(11) != runnerproto.Succeeded || !strings.Contains(f.logged(), "Z hello\n") {
		t.Errorf("exit code %d, told %q, log:\n%s", code, f.resultOf(11), f.logged())
	}
	r.wantPrinted("Runner connect error", "Runner reconnected.", "Listening for Jobs", "Runner connect error", "Running job: build")
}

func TestTenFailedPollsAskForAnotherStart(t *testing.T) {
	f := newFake(t)
	f.refuseNext("GET /message", 100, http.StatusBadGateway, "")
	r := newRunner(t)
	r.start("run", "--jitconfig", f.config(true))
	if code := r.wait(); code != exitRetryable || f.count("GET /message") != maxPollErrors {
		t.Errorf("exit code %d after %d polls", code, f.count("GET /message"))
	}
}

func TestAnIdleRunnerThatWasRemovedForgetsItsIdentity(t *testing.T) {
	f := newFake(t)
	r := newRunner(t)
	r.start("run", "--jitconfig", f.config(true))
	r.untilPrinted("Listening for Jobs")
	close(f.gone)
	if code := r.wait(); code != 0 || r.exists(runnerproto.RunnerFile) {
		t.Errorf("exit code %d, still configured %v", code, r.exists(runnerproto.RunnerFile))
	}
	r.wantPrinted("The runner no longer exists on the server")
}

func TestAJobThatWentToAnotherIsSkippedAndListeningGoesOn(t *testing.T) {
	f := newFake(t)
	f.refuseNext("POST /jobs/11/start", 1, http.StatusConflict, "")
	r := newRunner(t)
	f.messages <- steps("echo never")
	r.start("run", "--jitconfig", f.config(true))
	r.until("two polls", func() bool { return f.count("GET /message") == 2 })
	r.signals <- syscall.SIGINT
	if code := r.wait(); code != 0 || strings.Contains(r.printed.String(), "Running job") {
		t.Errorf("exit code %d, printed:\n%s", code, r.printed)
	}
}

func TestAJobWhoseLeaseIsLostIsAbandoned(t *testing.T) {
	f := newFake(t)
	f.refuseNext("POST /jobs/11/renew", 1, http.StatusNotFound, "")
	r := newRunner(t, variableReturnResult+"=true")
	startStubborn(t, f, r)
	if code := r.wait(); code != 105 {
		t.Errorf("exit code %d, want 105", code)
	}
	r.wantPrinted("Job build completed with result: Abandoned\n")
	if f.count("POST /jobs/11/complete") != 0 {
		t.Error("it told the end of a job that isn't its own")
	}
	wantNoProcess(t, r)
}
