package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"mayfly/internal/sim/runnerproto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience ends a test whose awaited thing never comes.
const patience = time.Minute

// runner is the program in a folder of its own.
type runner struct {
	t *testing.T
	*program
	signals chan os.Signal
	printed *printed
	code    chan int
	home    string
}

// printed is what a program printed so far.
type printed struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.String()
}

func newRunner(t *testing.T, env ...string) *runner {
	t.Helper()
	out, signals, home := &printed{}, make(chan os.Signal, 4), t.TempDir()
	return &runner{t: t, signals: signals, printed: out, code: make(chan int, 1), home: home, program: &program{
		root: t.TempDir(), uid: 1001, out: &terminal{out: out, err: out}, signals: signals,
		env: append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home}, env...),
		times: times{
			sessionRetry: time.Millisecond, conflictLimit: 3 * time.Millisecond, pollShort: time.Millisecond, pollLong: time.Millisecond,
			renew: 20 * time.Millisecond, retry: time.Millisecond, flush: 10 * time.Millisecond,
			interrupt: 200 * time.Millisecond, terminate: 200 * time.Millisecond, unload: 30 * time.Second,
		},
	}}
}

// start runs the program in the background.
func (r *runner) start(args ...string) {
	r.args = args
	go func() { r.code <- r.main(r.t.Context()) }()
}

// wait gives the exit code.
func (r *runner) wait() int {
	r.t.Helper()
	select {
	case code := <-r.code:
		return code
	case <-time.After(patience):
		r.t.Fatalf("the program never ended; it printed:\n%s", r.printed)
		return 0
	}
}

// until waits for something to come true.
func (r *runner) until(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("never came: %s; printed:\n%s", what, r.printed)
		}
	}
}

func (r *runner) untilPrinted(text string) {
	r.t.Helper()
	r.until(text, func() bool { return strings.Contains(r.printed.String(), text) })
}

// wantPrinted wants these in this order.
func (r *runner) wantPrinted(want ...string) {
	r.t.Helper()
	rest := r.printed.String()
	for _, w := range want {
		_, after, ok := strings.Cut(rest, w)
		if !ok {
			r.t.Fatalf("want %q in its order in:\n%s", w, r.printed)
		}
		rest = after
	}
}

func steps(scripts ...string) runnerproto.Message {
	m := runnerproto.Message{
		Type: runnerproto.JobRequest, JobID: 11, RunID: 5, Name: "build", Workflow: "CI", Repository: "NREL/EnergyPlus",
		ServerURL: "https://github.example", APIURL: "https://github.example/api/v3", Event: "push", Actor: "ann",
		Ref: "refs/heads/main", SHA: "abc", RunNumber: 3, Env: map[string]string{"FROM_WORKFLOW": "yes"},
	}
	for _, s := range scripts {
		m.Steps = append(m.Steps, runnerproto.Step{Run: s})
	}
	return m
}

func (r *runner) exists(name string) bool {
	_, err := os.Stat(r.path(name))
	return err == nil
}

func TestOneJobThenTheEphemeralRunnerEnds(t *testing.T) {
	f := newFake(t)
	r := newRunner(t)
	f.messages <- steps("echo hello; test -s ../../../.runner && echo configured", "echo second")
	r.start("run", "--jitconfig", f.config(true))
	if code := r.wait(); code != 0 {
		t.Errorf("exit code %d; printed:\n%s", code, r.printed)
	}
	r.wantPrinted("√ Connected to GitHub\n", "Current runner version: '"+version+"'\n", "Z: Listening for Jobs\n",
		"Z: Running job: build\n", "Z: Job build completed with result: Succeeded\n")
	if got := f.resultOf(11); got != runnerproto.Succeeded {
		t.Errorf("the server was told %q", got)
	}
	for _, want := range []string{"Z hello\n", "Z configured\n", "Z second\n", "shell: /bin/sh -e"} {
		if !strings.Contains(f.logged(), want) {
			t.Errorf("no %q in the job's log:\n%s", want, f.logged())
		}
	}
	for _, name := range configFiles {
		if r.exists(name) {
			t.Errorf("%s is left after the only job", name)
		}
	}
	if f.count("POST /jobs/11/start") != 1 || f.count("DELETE /sessions/s1") != 1 {
		t.Errorf("calls: %q", f.calls)
	}
}

func TestARunnerThatIsNotEphemeralTakesTheNextJob(t *testing.T) {
	f := newFake(t)
	r := newRunner(t)
	first, second := steps("echo one >left"), steps("cat left")
	second.JobID = 12
	f.messages <- first
	r.start("run", "--jitconfig", f.config(false))
	<-f.completed
	r.untilPrinted("Job build completed")
	f.messages <- second
	r.until("second result", func() bool { return f.resultOf(12) == runnerproto.Succeeded })
	r.signals <- syscall.SIGINT
	if code := r.wait(); code != 0 || !r.exists(runnerproto.RunnerFile) {
		t.Errorf("exit code %d, still configured %v", code, r.exists(runnerproto.RunnerFile))
	}
}

func TestStepsSeeGitHubsVariablesAndNotTheIdentity(t *testing.T) {
	f := newFake(t)
	r := newRunner(t, inputPrefix+"JITCONFIG="+f.config(true), inputPrefix+"STARTUPTYPE=service", "OWN=1")
	r.write(".env", "FROM_ENV_FILE=a=b\n\nOWN=2\n")
	f.messages <- steps("env; pwd; echo NEXT=7 >>$GITHUB_ENV; mkdir $RUNNER_TEMP/bin; echo $RUNNER_TEMP/bin >>$GITHUB_PATH",
		"echo next $NEXT; case $PATH in $RUNNER_TEMP/bin:*) echo path ok;; esac; echo "+token)
	r.start("run")
	if code := r.wait(); code != 0 {
		t.Errorf("exit code %d; printed:\n%s", code, r.printed)
	}
	work := r.path("_work")
	for _, want := range []string{
		"CI=true", "GITHUB_ACTIONS=true", "GITHUB_REPOSITORY=NREL/EnergyPlus", "GITHUB_REPOSITORY_OWNER=NREL", "GITHUB_SHA=abc",
		"GITHUB_REF_NAME=main", "GITHUB_RUN_ID=5", "GITHUB_RUN_ATTEMPT=1", "GITHUB_JOB=build", "GITHUB_EVENT_NAME=push",
		"RUNNER_NAME=ep-0123456789", "RUNNER_OS=Linux", "RUNNER_TEMP=" + work + "/_temp", "FROM_WORKFLOW=yes",
		"FROM_ENV_FILE=a=b", "OWN=2", "GITHUB_WORKSPACE=" + work + "/EnergyPlus/EnergyPlus", work + "/EnergyPlus/EnergyPlus",
		"next 7", "path ok", "***",
	} {
		if !strings.Contains(f.logged(), "Z "+want+"\n") {
			t.Errorf("no line %q in the job's log:\n%s", want, f.logged())
		}
	}
	if strings.Contains(f.logged(), "ACTIONS_RUNNER_INPUT") || strings.Contains(f.logged(), token) {
		t.Errorf("the identity reached the job:\n%s", f.logged())
	}
}

func (r *runner) write(name, text string) string {
	r.t.Helper()
	path := r.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func TestAFailedStepFailsTheJobAndEndsIt(t *testing.T) {
	for result, want := range map[string]int{"": 0, "1": 102} {
		f := newFake(t)
		r := newRunner(t, variableReturnResult+"="+result)
		f.messages <- steps("echo before; false; echo after", "echo second")
		r.start("run", "--jitconfig", f.config(true))
		if code := r.wait(); code != want {
			t.Errorf("exit code %d, want %d", code, want)
		}
		r.wantPrinted("Job build completed with result: Failed\n")
		if f.resultOf(11) != runnerproto.Failed || !strings.Contains(f.logged(), "##[error]Process completed with exit code 1.") {
			t.Errorf("told %q, log:\n%s", f.resultOf(11), f.logged())
		}
		if strings.Contains(f.logged(), "Z after\n") || strings.Contains(f.logged(), "Z second\n") {
			t.Errorf("the job went on after a failure:\n%s", f.logged())
		}
	}
}

func TestAJobOfOnlyADurationEndsAsItWasTold(t *testing.T) {
	for fail, want := range map[bool]runnerproto.Result{false: runnerproto.Succeeded, true: runnerproto.Failed} {
		f := newFake(t)
		r := newRunner(t)
		m := steps()
		m.DurationMS, m.Fail = 10, fail
		f.messages <- m
		r.start("run", "--jitconfig", f.config(true))
		if code := r.wait(); code != 0 || f.resultOf(11) != want {
			t.Errorf("exit code %d, told %q, want %q", code, f.resultOf(11), want)
		}
	}
}

func TestHooksRunAroundTheJobAndTheirFailureFailsIt(t *testing.T) {
	cases := map[string]struct {
		started, completed, step string
		want                     runnerproto.Result
		log, not                 string
	}{
		"both":          {"echo hook one", "echo hook two", "echo step", runnerproto.Succeeded, "Z hook two\n", "##[error]"},
		"first fails":   {"exit 4", "echo hook two", "echo step", runnerproto.Failed, "Z hook two\n", "Z step\n"},
		"last fails":    {"echo hook one", "exit 4", "echo step", runnerproto.Failed, "Z step\n", "Z hook two\n"},
		"step fails":    {"echo hook one", "echo hook two", "exit 4", runnerproto.Failed, "Z hook two\n", "Z step\n"},
		"none is there": {"", "echo hook two", "echo step", runnerproto.Failed, "##[error]File doesn't exist: ", "Z step\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			r := newRunner(t)
			started := r.path("hooks/started.sh")
			if c.started != "" {
				started = r.write("hooks/started.sh", c.started+"\n")
			}
			r.env = append(r.env, hookStarted+"="+started, hookCompleted+"="+r.write("hooks/completed.sh", c.completed+"\n"))
			f.messages <- steps(c.step)
			r.start("run", "--jitconfig", f.config(true))
			if code := r.wait(); code != 0 || f.resultOf(11) != c.want {
				t.Errorf("exit code %d, told %q, want %q", code, f.resultOf(11), c.want)
			}
			if log := f.logged(); !strings.Contains(log, c.log) || strings.Contains(log, c.not) {
				t.Errorf("want %q and no %q in the log:\n%s", c.log, c.not, log)
			}
		})
	}
}
