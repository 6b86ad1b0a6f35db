package process

import (
	"context"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is a process that a test started. It ends with the test at the latest, and with the test's own process whatever
// becomes of that.
type Process struct {
	// Name is the program with its arguments.
	Name string

	cmd   *exec.Cmd
	ended chan struct{} // closed when it was waited for
	err   error         // how it ended, from ended on
}

// Options say what a process gets; what isn't set is a folder of its own, no environment, no input, output for nobody.
type Options struct {
	Dir            string
	Env            []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Start starts a program, or fails the test.
func Start(t *testing.T, o Options, program string, args ...string) *Process {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // clean-up may still need the process
	cmd := exec.CommandContext(ctx, program, args...)
	p := &Process{Name: program + " " + strings.Join(args, " "), cmd: cmd, ended: make(chan struct{})}
	if cmd.Dir = o.Dir; cmd.Dir == "" {
		cmd.Dir = t.TempDir()
	}
	cmd.Env = append([]string{}, o.Env...) // never nil, which would be all of ours
	cmd.Stdin, cmd.Stdout, cmd.Stderr = o.Stdin, o.Stdout, o.Stderr
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
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
		t.Fatalf("start %s: %v", p.Name, err)
	}
	t.Cleanup(func() { p.End(syscall.SIGKILL) })
	return p
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Wait waits until the process has ended and says how.
func (p *Process) Wait() error {
	<-p.ended
	return p.err
}

// Alive reports whether the process hasn't ended.
func (p *Process) Alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// End sends a signal, if the process still runs, and waits until it has gone.
func (p *Process) End(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig) // it may have ended by itself
	<-p.ended
}

// termination is how long a process may take from SIGTERM to its end; a dispatcher has 20 s.
const termination = 30 * time.Second

// Terminate asks the process to end, as systemd does, and wants it to end well.
func (p *Process) Terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("%s ended before it was asked to: %v", p.Name, err)
		return
	}
	select {
	case <-p.ended:
		if p.err != nil {
			t.Errorf("%s after SIGTERM: %v", p.Name, p.err)
		}
	case <-time.After(termination):
		t.Errorf("%s doesn't end after SIGTERM", p.Name)
		p.End(syscall.SIGKILL)
	}
}

// Environment is env, and the little that any Go program needs where env doesn't say otherwise. MAYFLY_CI_RUN marks the
// processes of a check, so that it can tell whether one is left.
func Environment(env ...string) []string {
	var all []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "MAYFLY_CI_RUN"} {
		if v, set := os.LookupEnv(name); set {
			all = append(all, name+"="+v)
		}
	}
	return append(all, env...)
}
