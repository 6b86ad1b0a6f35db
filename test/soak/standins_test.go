//go:build soak

package soak

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/pve"
)

// standIns are `mayfly sim pve` and `mayfly sim gh`, each a process of its own.
type standIns struct {
	t   *testing.T
	pve pve.Info
	gh  gh.Info
}

func newStandIns(t *testing.T) *standIns {
	t.Helper()
	s := &standIns{t: t}
	s.start(&s.pve, "sim", "pve", "--timing", "demo", "--log-level", "error")
	// The controller asks thirty times as often as one would ask GitHub.
	s.start(&s.gh, "sim", "gh", "--timing", "demo", "--rate-limit", "1000000000", "--log-level", "error")
	return s
}

// start starts a stand-in and reads the line in which it says how to reach it. It ends with the test, and with the
// test's process whatever becomes of that.
func (s *standIns) start(info any, args ...string) {
	s.t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var trouble bytes.Buffer
	cmd.Stderr = &trouble
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	began, ended := make(chan error, 1), make(chan struct{})
	first := make(chan []byte, 1)
	// One thread for the whole life: the kernel kills the child when the thread that started it ends (prctl(2)).
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		began <- err
		if err != nil {
			return
		}
		r := bufio.NewReader(out)
		line, _ := r.ReadBytes('\n') // nothing, if it ended
		first <- line
		_, _ = io.Copy(io.Discard, r)
		_ = cmd.Wait()
	}()
	if err := <-began; err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if trouble.Len() > 0 {
			s.t.Logf("%q said:\n%s", args, trouble.String())
		}
	})
	if line := <-first; json.Unmarshal(line, info) != nil {
		s.t.Fatalf("%q says %q first", args, line)
	}
}

// queue queues jobs that last a moment.
func (s *standIns) queue(count int) {
	s.t.Helper()
	s.call(http.MethodPost, s.gh.APIURL+"/_sim/jobs", map[string]any{
		"count": count, "labels": []string{"self-hosted", "soak"}, "duration_ms": 20,
	}, nil)
}

// results are the jobs and registrations that GitHub's stand-in knows.
func (s *standIns) results() gh.State {
	s.t.Helper()
	var st gh.State
	s.call(http.MethodGet, s.gh.APIURL+"/_sim/state", nil, &st)
	return st
}

func (s *standIns) call(method, url string, body, into any) {
	s.t.Helper()
	payload, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, url, bytes.NewReader(payload))
	if err != nil {
		s.t.Fatal(err)
	}
	// A connection of its own, which is closed at once: it must not be among the controller's open files.
	req.Close = true
	web := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := web.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		s.t.Fatalf("%s %s: %s %v %.300s", method, url, resp.Status, err, text)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(text, into); err != nil {
		s.t.Fatalf("%s %s: %v", method, url, err)
	}
}
