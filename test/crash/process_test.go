//go:build crash

package crash

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a process that this test started. It ends with the test at the latest, and with the test's own process
// whatever becomes of that.
type process struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	log   *journal
	ended chan struct{} // closed when it was waited for
	err   error         // how it ended, from ended on
}

// launch starts the binary under test in a folder of its own, with nothing in its environment but env. Standard error
// goes to the journal, standard output to stdout, or to the journal where that is nil.
func launch(t *testing.T, name string, log *journal, stdout io.Writer, env []string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Env = t.TempDir(), env
	cmd.Stderr, cmd.Stdout = log, stdout
	if stdout == nil {
		cmd.Stdout = log
	}
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &process{t: t, name: name, cmd: cmd, log: log, ended: make(chan struct{})}
	began := make(chan error, 1)
	// One goroutine and its thread stay for the process's whole life: the kernel kills the child when the thread that
	// started it ends (prctl(2), PR_SET_PDEATHSIG), and Go may end any other thread.
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		if p.err = cmd.Start(); p.err != nil {
			began <- p.err
			return
		}
		began <- nil
		p.err = cmd.Wait()
	}()
	if err := <-began; err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(p.kill)
	return p
}

// kill ends the process with SIGKILL, if it still runs, and waits until it has gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

// terminate asks the process to end, as systemd does, and wants it to end well.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Errorf("%s ended before it was asked to: %v", p.name, err)
		return
	}
	select {
	case <-p.ended:
		if p.err != nil {
			p.t.Errorf("%s after SIGTERM: %v", p.name, p.err)
		}
	case <-time.After(termination):
		p.t.Errorf("%s doesn't end after SIGTERM", p.name)
		p.kill()
	}
}

// alive reports whether the process hasn't ended.
func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// journal keeps what processes write.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements [io.Writer].
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) note(line string) { _, _ = io.WriteString(j, "---- "+line+"\n") }

// tail gives the last lines, at most n.
func (j *journal) tail(n int) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := strings.SplitAfter(strings.TrimSuffix(j.text.String(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}

// announcement takes a process's standard output: the first line for whoever waits for it, the rest for the journal.
type announcement struct {
	line chan string
	log  *journal
	head []byte
	said bool
}

func newAnnouncement(log *journal) *announcement {
	return &announcement{line: make(chan string, 1), log: log}
}

// Write implements [io.Writer]; package exec calls it from one goroutine.
func (a *announcement) Write(p []byte) (int, error) {
	if a.said {
		return a.log.Write(p)
	}
	a.head = append(a.head, p...)
	if first, rest, whole := bytes.Cut(a.head, []byte("\n")); whole {
		a.said = true
		a.line <- string(first)
		_, _ = a.log.Write(rest)
	}
	return len(p), nil
}

// environment is what a process gets: env, and the little that any Go program needs. MAYFLY_CI_RUN marks the processes
// of a check, so that it can tell whether one is left.
func environment(env ...string) []string {
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "MAYFLY_CI_RUN"} {
		if v, set := os.LookupEnv(name); set {
			env = append(env, name+"="+v)
		}
	}
	return env
}
