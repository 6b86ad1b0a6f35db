package cli

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/config"
	"mayfly/internal/fleet"
)

// told is a fleet whose status a test sets, and what was said of it.
type told struct {
	mu     sync.Mutex
	status fleet.Status
	said   []string
	log    bytes.Buffer
}

func (f *told) Status() fleet.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *told) set(change func(*fleet.Status)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.At = time.Now()
	change(&f.status)
}

func (f *told) send(state string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, state)
}

// heard returns what was said since the last time, without signs of life, and how many of those there were.
func (f *told) heard() (said []string, alive int) {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	said = slices.DeleteFunc(f.said, func(s string) bool { return s == "WATCHDOG=1" })
	alive = len(f.said) - len(said)
	f.said = nil
	return said, alive
}

// start lets a herald tell of the fleet; stop is the signal.
func (f *told) start(t *testing.T, watchdog time.Duration) (stop func()) {
	ctx, end := context.WithCancel(t.Context())
	signal, stop := context.WithCancel(ctx)
	h := &herald{fleet: f, log: newLogger(&f.log, config.Log{}), notify: notifier{send: f.send, watchdog: watchdog}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.run(ctx, signal)
	}()
	t.Cleanup(func() {
		end()
		stop()
		<-ended
	})
	return stop
}

func want(t *testing.T, f *told, lines ...string) {
	t.Helper()
	if said, _ := f.heard(); !slices.Equal(said, lines) {
		t.Errorf("systemd hears %q, want %q", said, lines)
	}
}

func TestSystemdHearsReadyWhenBothSidesHaveAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &told{}
		stop := f.start(t, 0)
		time.Sleep(5 * time.Second)
		want(t, f)
		f.set(func(s *fleet.Status) { s.Proxmox.OK, s.GitHub.OK, s.Ready = true, true, true })
		time.Sleep(time.Second)
		want(t, f, "READY=1", "STATUS=ready; 0 runners, 0 waiting jobs")
		f.set(func(s *fleet.Status) {
			s.Runners = make([]fleet.RunnerStatus, 1)
			s.Waiting = make([]fleet.WaitingStatus, 2)
		})
		time.Sleep(time.Second)
		want(t, f, "STATUS=ready; 1 runner, 2 waiting jobs")
		stop()
		want(t, f, "STOPPING=1")
		time.Sleep(time.Second)
		want(t, f)
	})
}

func TestSystemdHearsReadyThoughASideIsInTrouble(t *testing.T) {
	for name, change := range map[string]func(*fleet.Status){
		"refused": func(s *fleet.Status) { s.Proxmox.Since, s.GitHub.Since = s.At, s.At },
		"hangs":   func(*fleet.Status) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &told{}
				f.start(t, 0)
				f.set(func(s *fleet.Status) { s.Reasons = []string{"proxmox: refused"} })
				f.set(change)
				time.Sleep(heraldPatience + time.Second)
				want(t, f, "READY=1", "STATUS=not ready: proxmox: refused; 0 runners, 0 waiting jobs")
				if text := f.log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `level=WARN msg="not ready" reason="github doesn't answer`) {
					t.Errorf("log:\n%s", text)
				}
			})
		})
	}
}

func TestLogTellsReadyAndNotReadyOncePerChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &told{}
		f.start(t, 0)
		for range 2 {
			f.set(func(s *fleet.Status) { s.Proxmox.OK, s.GitHub.OK, s.Ready, s.Reasons = true, true, true, nil })
			time.Sleep(3 * time.Second)
			f.set(func(s *fleet.Status) { s.Ready, s.Reasons = false, []string{`template "x" is locked`} })
			time.Sleep(3 * time.Second)
		}
		synctest.Wait()
		var messages []string
		for line := range strings.Lines(f.log.String()) {
			_, message, _ := strings.Cut(strings.TrimSpace(line), "level=")
			messages = append(messages, message)
		}
		good, bad := "INFO msg=ready runners=0 waiting=0", `WARN msg="not ready" reason="template \"x\" is locked"`
		if !slices.Equal(messages, []string{good, bad, good, bad}) {
			t.Errorf("log %q", messages)
		}
	})
}

func TestWatchdogIsFedOnlyWhileTheControllerComesRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &told{}
		f.start(t, 10*time.Second)
		f.set(func(s *fleet.Status) { s.Proxmox.OK, s.GitHub.OK, s.Ready = true, true, true })
		time.Sleep(time.Minute)
		if _, alive := f.heard(); alive < 10 || alive > 13 {
			t.Errorf("%d signs of life in a minute, want one each 5 s", alive)
		}
		time.Sleep(15 * time.Minute)
		f.heard()
		time.Sleep(time.Minute)
		if _, alive := f.heard(); alive != 0 {
			t.Errorf("%d signs of life of a controller that hangs", alive)
		}
		f.set(func(*fleet.Status) {})
		time.Sleep(time.Second)
		if _, alive := f.heard(); alive != 1 {
			t.Errorf("%d signs of life when it comes round again, want 1", alive)
		}
	})
}
