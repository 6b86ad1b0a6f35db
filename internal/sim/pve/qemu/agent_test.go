package qemu

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"mayfly/internal/sim/pve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeMachine is a machine without a process, whose sockets tests serve.
func fakeMachine(t *testing.T) *machine {
	t.Helper()
	e := &Engine{dir: t.TempDir(), on: map[int]*machine{}, disks: map[int]*disk{}}
	m := newMachine(e, pve.Machine{VMID: 201})
	e.on[201] = m
	return m
}

// serveSocket answers connections to a UNIX socket, one after the other as QEMU does.
func serveSocket(t *testing.T, path string, serve func(net.Conn)) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serve(conn)
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
}

// fakeAgent speaks as qemu-ga does: stray is what an earlier client left, answer is asked for each command.
func fakeAgent(t *testing.T, m *machine, stray string, answer func(command) string) {
	t.Helper()
	serveSocket(t, m.e.file(m.VMID, "qga"), func(conn net.Conn) {
		in := bufio.NewReader(conn)
		for {
			line, err := in.ReadBytes('\n')
			if err != nil {
				return
			}
			var c command
			if err := json.Unmarshal(bytes.TrimLeft(line, "\xff"), &c); err != nil {
				t.Errorf("command %q: %v", line, err)
				return
			}
			var text string
			switch c.Execute {
			case "guest-sync-delimited":
				if line[0] != sentinel {
					t.Error("no sentinel before the synchronisation")
				}
				var args struct{ ID int64 }
				if err := json.Unmarshal(c.Arguments, &args); err != nil {
					t.Error(err)
				}
				text = fmt.Sprintf("%s\xff{\"return\": %d}\n", stray, args.ID)
			default:
				if text = answer(c); text == "" {
					return
				}
			}
			if _, err := conn.Write([]byte(text)); err != nil {
				return
			}
		}
	})
}

func TestWhatAnEarlierClientLeftIsNotTakenForAnAnswer(t *testing.T) {
	for name, stray := range map[string]string{
		"nothing":                "",
		"a late answer":          `{"return": {"pid": 1}}` + "\n",
		"a late synchronisation": "\xff" + `{"return": 1}` + "\n",
		"a complaint":            "\xff" + `{"error": {"class": "GenericError", "desc": "JSON parse error, stray 'x'"}}` + "\n",
		"half a line":            `{"retu`,
	} {
		t.Run(name, func(t *testing.T) {
			m := fakeMachine(t)
			fakeAgent(t, m, stray, func(c command) string { return `{"return": {"asked": "` + c.Execute + `"}}` + "\n" })
			got, err := m.e.Agent(t.Context(), 201, "guest-info", nil)
			if err != nil || string(got) != `{"asked": "guest-info"}` {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}

func TestTheAgentsRefusalIsPassedOnInItsOwnWords(t *testing.T) {
	m := fakeMachine(t)
	fakeAgent(t, m, "", func(command) string { return `{"error": {"class": "CommandNotFound", "desc": "no such"}}` + "\n" })
	_, err := m.e.Agent(t.Context(), 201, "guest-nosuch", json.RawMessage(`{"a":1}`))
	var refusal *pve.AgentError
	if !errors.As(err, &refusal) || refusal.Class != "CommandNotFound" || refusal.Desc != "no such" {
		t.Errorf("%v", err)
	}
}

func TestAShutdownThatIsNotAnsweredIsDone(t *testing.T) {
	m := fakeMachine(t)
	fakeAgent(t, m, "", func(command) string { return "" }) // hangs up
	if got, err := m.e.Agent(t.Context(), 201, guestShutdown, nil); err != nil || string(got) != "{}" {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := m.e.Agent(t.Context(), 201, "guest-ping", nil); err == nil {
		t.Error("an unanswered ping is no answer")
	}
}

func TestRepliesThatMakeNoSenseAreErrors(t *testing.T) {
	for _, line := range []string{"{}\n", "words\n", `{"event": "x"}` + "\n"} {
		m := fakeMachine(t)
		fakeAgent(t, m, "", func(command) string { return line })
		if got, err := m.e.Agent(t.Context(), 201, "guest-ping", nil); err == nil || !strings.Contains(err.Error(), "read reply") {
			t.Errorf("%q: %s, %v", line, got, err)
		}
	}
}

// TestASilentAgentHoldsNobodyBeyondTheDeadline also covers those who wait for their turn behind it.
func TestASilentAgentHoldsNobodyBeyondTheDeadline(t *testing.T) {
	m := fakeMachine(t)
	served := make(chan struct{})
	defer close(served)
	serveSocket(t, m.e.file(201, "qga"), func(net.Conn) {
		select {
		case <-served:
		case <-time.After(time.Minute):
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := m.e.Agent(ctx, 201, "guest-ping", nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want the deadline", err)
			}
		})
	}
	wg.Wait()
}

func TestAMachineThatIsOffHasNoAgent(t *testing.T) {
	m := fakeMachine(t)
	if _, err := m.e.Agent(t.Context(), 202, "guest-ping", nil); err == nil || !strings.Contains(err.Error(), "doesn't run") {
		t.Errorf("%v", err)
	}
	m.turn <- struct{}{} // somebody speaks to it
	close(m.gone)
	if _, err := m.e.Agent(t.Context(), 201, "guest-ping", nil); err == nil || !strings.Contains(err.Error(), "powered off") {
		t.Errorf("%v", err)
	}
}
