package secrets

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// process is a process that this test started. It ends with the test at the latest, and with the test's own process
// whatever becomes of that.
type process struct {
	name  string
	cmd   *exec.Cmd
	out   journal       // both its outputs
	ended chan struct{} // closed when it was waited for
	err   error         // how it ended, from ended on
}

// launch starts a program in the folder dir with nothing in its environment but env.
func launch(t *testing.T, dir, stdin string, env []string, program string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(program, args...)
	p := &process{name: program + " " + strings.Join(args, " "), cmd: cmd, ended: make(chan struct{})}
	cmd.Dir, cmd.Env = dir, append([]string{}, env...) // never nil, which would be all of ours
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	began := make(chan error, 1)
	// One thread for the whole life: the kernel kills the child when the thread that started it ends (prctl(2),
	// PR_SET_PDEATHSIG).
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
		t.Fatalf("start %s: %v", p.name, err)
	}
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	return p
}

// end sends a signal, if the process still runs, and waits until it has gone.
func (p *process) end(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig) // it may have ended by itself
	<-p.ended
}

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// journal keeps what a process writes.
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

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// environment is what a process gets: env, and the little that Go programs need.
func environment(env ...string) []string {
	for _, name := range []string{"PATH", "MAYFLY_CI_RUN"} {
		if v, set := os.LookupEnv(name); set {
			env = append(env, name+"="+v)
		}
	}
	return env
}
