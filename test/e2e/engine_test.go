//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/pve/qemu"
)

// patience ends a test whose awaited thing never comes: an emulated guest on a busy machine takes its time.
const patience = 4 * time.Minute

// machines is an engine under test.
type machines struct {
	t *testing.T
	*qemu.Engine
	exited chan int
	dir    string // where the engine's files are
}

func newMachines(t *testing.T, im qemu.Image, gitHub string) *machines {
	t.Helper()
	dir := shortDir(t)
	e, err := qemu.New(t.Context(), qemu.Options{Image: im, GitHub: gitHub, Accel: accel(), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return &machines{t, e, make(chan int, 10), dir}
}

// boot clones and starts a VM.
func (m *machines) boot(vmid int, config map[string]string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	if err := m.Clone(ctx, 9000, vmid, false, func(string) {}); err != nil {
		m.t.Fatal(err)
	}
	err := m.Start(ctx, pve.Machine{VMID: vmid, Config: config, MAC: "BC:24:11:00:00:01", Exited: func() { m.exited <- vmid }})
	if err != nil {
		m.t.Fatal(err)
	}
}

// ask runs an agent command and wants an answer.
func (m *machines) ask(vmid int, execute string, arguments any) json.RawMessage {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	var args json.RawMessage
	if arguments != nil {
		var err error
		if args, err = json.Marshal(arguments); err != nil {
			m.t.Fatal(err)
		}
	}
	got, err := m.Agent(ctx, vmid, execute, args)
	if err != nil {
		m.t.Fatalf("%v; console:\n%s", err, m.Console(vmid))
	}
	return got
}

// sh runs a shell command in the guest to its end.
func (m *machines) sh(vmid int, script, stdin string) (code int, out string) {
	m.t.Helper()
	pid := m.exec(vmid, script, stdin)
	for {
		var status execStatus
		if err := json.Unmarshal(m.ask(vmid, "guest-exec-status", map[string]int{"pid": pid}), &status); err != nil {
			m.t.Fatal(err)
		}
		if status.Exited {
			return status.ExitCode, string(status.Out) + string(status.Err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// execStatus is the agent's answer about a command; the agent writes output in base64, as encoding/json reads []byte.
type execStatus struct {
	Exited   bool
	ExitCode int
	Out      []byte `json:"out-data"`
	Err      []byte `json:"err-data"`
}

// exec starts a shell command in the guest.
func (m *machines) exec(vmid int, script, stdin string) (pid int) {
	m.t.Helper()
	var started struct{ PID int }
	reply := m.ask(vmid, "guest-exec", map[string]any{
		"path": "/bin/sh", "arg": []string{"-c", script}, "capture-output": true, "input-data": []byte(stdin),
	})
	if err := json.Unmarshal(reply, &started); err != nil {
		m.t.Fatal(err)
	}
	return started.PID
}

// trySh is sh for an agent that may be ending: false when it gave no answer soon.
func (m *machines) trySh(vmid int, script string) (out string, ok bool) {
	ctx, cancel := context.WithTimeout(m.t.Context(), 20*time.Second)
	defer cancel()
	call := func(execute string, arguments, into any) bool {
		args, err := json.Marshal(arguments)
		if err != nil {
			m.t.Fatal(err)
		}
		reply, err := m.Agent(ctx, vmid, execute, args)
		return err == nil && json.Unmarshal(reply, into) == nil
	}
	var started struct{ PID int }
	if !call("guest-exec", map[string]any{"path": "/bin/sh", "arg": []string{"-c", script}, "capture-output": true}, &started) {
		return "", false
	}
	for {
		var status execStatus
		if !call("guest-exec-status", map[string]int{"pid": started.PID}, &status) {
			return "", false
		}
		if status.Exited {
			return string(status.Out), status.ExitCode == 0
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// until waits for something to come true.
func (m *machines) until(vmid int, what string, ok func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("never came: %s; console:\n%s", what, m.Console(vmid))
		}
	}
}

func (m *machines) wantExit(vmid int) {
	m.t.Helper()
	select {
	case got := <-m.exited:
		if got != vmid {
			m.t.Errorf("VM %d powered off, want %d", got, vmid)
		}
	case <-time.After(patience):
		m.t.Fatalf("VM %d never powered off; console:\n%s", vmid, m.Console(vmid))
	}
}

func TestEngineBootsGuestsWithARealAgent(t *testing.T) {
	t.Parallel()
	gitHub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("hello from " + r.Host + r.URL.Path))
	}))
	defer gitHub.Close()
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a guest got out") }))
	defer other.Close()
	m := newMachines(t, image(t, "tiny"), gitHub.Listener.Addr().String())
	m.boot(201, map[string]string{"agent": "1"})

	// The first call comes while the guest has hardly begun to boot: it gives up with its own deadline, and what it
	// left unread confuses nobody later.
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	if _, err := m.Agent(short, 201, "guest-ping", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("agent of a booting guest: %v, want the deadline", err)
	}
	cancel()
	if got := string(m.ask(201, "guest-ping", nil)); got != "{}" {
		t.Errorf("ping: %s", got)
	}

	if code, out := m.sh(201, "cat; echo err >&2; exit 3", "in"); code != 3 || out != "inerr\n" {
		t.Errorf("exit code %d, output %q", code, out)
	}
	_, err := m.Agent(t.Context(), 201, "guest-exec", json.RawMessage(`{"path":"/bin/nosuch"}`))
	var refusal *pve.AgentError
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Desc, "/bin/nosuch") {
		t.Errorf("a program that isn't there: %v, want the agent's own words", err)
	}

	// Its only way out is GitHub.
	get := func(host, port, path string) string {
		_, out := m.sh(201, "printf 'GET "+path+" HTTP/1.0\\r\\nHost: test\\r\\n\\r\\n' | nc -w 5 "+host+" "+port+" 2>&1; :", "")
		return out
	}
	if out := get("10.0.2.100", "80", "/x"); !strings.Contains(out, "hello from test/x") {
		t.Errorf("GitHub said %q", out)
	}
	_, port, err := net.SplitHostPort(other.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if out := get("10.0.2.2", port, "/"); strings.Contains(out, "HTTP/") {
		t.Errorf("another service on this host said %q", out)
	}

	if code, out := m.sh(201, "/opt/actions-runner/run-once.sh --probe", ""); code != 0 || !strings.Contains(out, `"state":"ready"`) {
		t.Errorf("probe: %d, %s", code, out)
	}
}

func TestEngineKeepsDisksApart(t *testing.T) {
	t.Parallel()
	m := newMachines(t, image(t, "tiny"), "")
	const file = "/opt/actions-runner/_work/left"
	m.boot(201, nil)
	if code, out := m.sh(201, "echo 201 >"+file+" && sync", ""); code != 0 {
		t.Fatal(out)
	}
	if err := m.Stop(t.Context(), 201); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), pve.Machine{VMID: 201}); err != nil { // the disk is its own over a power cut…
		t.Fatal(err)
	}
	if _, out := m.sh(201, "cat "+file, ""); out != "201\n" {
		t.Errorf("after a restart: %q", out)
	}
	if err := m.Stop(t.Context(), 201); err != nil {
		t.Fatal(err)
	}
	if err := m.Clone(t.Context(), 201, 202, true, func(string) {}); err != nil { // …a full clone has a copy…
		t.Fatal(err)
	}
	if err := m.Destroy(t.Context(), 201); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), pve.Machine{VMID: 202}); err != nil {
		t.Fatal(err)
	}
	if _, out := m.sh(202, "cat "+file, ""); out != "201\n" {
		t.Errorf("in a full clone: %q", out)
	}
	if err := m.Destroy(t.Context(), 202); err != nil {
		t.Fatal(err)
	}
	m.boot(201, nil) // …and the next VM of the same number has none of it.
	if _, out := m.sh(201, "ls -A "+filepath.Dir(file), ""); strings.Contains(out, "left") {
		t.Errorf("a destroyed VM's file came back: %q", out)
	}
	if len(m.exited) != 0 {
		t.Error("a stopped machine was reported as powered off")
	}
}

func TestEngineNoticesPowerOffAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	e, err := qemu.New(t.Context(), qemu.Options{Image: image(t, "tiny"), Accel: accel(), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	m := &machines{t, e, make(chan int, 10), dir}
	m.boot(201, map[string]string{"agent": "enabled=1"})
	m.ask(201, "guest-ping", nil)
	if err := m.Shutdown(t.Context(), 201); err != nil { // by the agent
		t.Error(err)
	}
	m.wantExit(201)
	if len(m.Running()) != 0 {
		t.Errorf("machines %v still run", m.Running())
	}
	m.boot(202, nil)
	m.boot(203, nil)
	if err := m.Start(t.Context(), pve.Machine{VMID: 203}); err == nil {
		t.Error("a running machine was started again")
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 || len(m.exited) != 0 {
		t.Errorf("left behind: %v; reported as powered off: %d", left, len(m.exited))
	}
	if err := m.Start(t.Context(), pve.Machine{VMID: 202}); err == nil {
		t.Error("a closed engine started a machine")
	}
	wantNoQEMU(t, dir)
}

// TestSystemdGuestObeysThePowerButton is the way of a VM without agent option: ACPI, logind, an orderly end.
func TestSystemdGuestObeysThePowerButton(t *testing.T) {
	t.Parallel()
	m := newMachines(t, image(t, "systemd"), "")
	m.boot(201, nil)
	m.ask(201, "guest-ping", nil) // comes before the boot is over
	for code := -1; code != 0; time.Sleep(time.Second) {
		code, _ = m.sh(201, "systemctl is-active --quiet systemd-logind", "")
	}
	if err := m.Shutdown(t.Context(), 201); err != nil {
		t.Error(err)
	}
	m.wantExit(201)
}

// wantNoQEMU looks for processes that have word in their arguments.
func wantNoQEMU(t *testing.T, word string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("no processes: %v", err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), word) {
			t.Errorf("left behind: %s", strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
}
