package qemu

import (
	"bufio"
	"net"
	"strings"
	"testing"
)

// fakeMonitor greets and answers each line.
func fakeMonitor(t *testing.T, path string, answer func(line string) string) {
	t.Helper()
	serveSocket(t, path, func(conn net.Conn) {
		_, _ = conn.Write([]byte(`{"QMP": {"version": {}, "capabilities": []}}` + "\n"))
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			if _, err := conn.Write([]byte(answer(lines.Text()))); err != nil {
				return
			}
		}
	})
}

func TestMonitorSkipsEventsBeforeTheReply(t *testing.T) {
	m := fakeMachine(t)
	var heard []string
	fakeMonitor(t, m.monitor.path, func(line string) string {
		heard = append(heard, line)
		return `{"timestamp": {}, "event": "RESUME"}` + "\n" + `{"return": {}}` + "\n"
	})
	if m.monitor.wasUp() {
		t.Error("up before it was opened")
	}
	if err := m.monitor.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.press(); err != nil {
		t.Error(err)
	}
	m.monitor.close()
	want := `{"execute":"qmp_capabilities"} {"execute":"system_powerdown"}`
	if got := strings.Join(heard, " "); got != want || !m.monitor.wasUp() {
		t.Errorf("it heard %s, want %s", got, want)
	}
	if err := m.press(); err == nil || !strings.Contains(err.Error(), "QEMU has ended") {
		t.Errorf("after the end: %v", err)
	}
}

func TestMonitorPassesARefusalOn(t *testing.T) {
	m := fakeMachine(t)
	fakeMonitor(t, m.monitor.path, func(line string) string {
		if strings.Contains(line, "capabilities") {
			return `{"return": {}}` + "\n"
		}
		return `{"error": {"class": "GenericError", "desc": "not now"}}` + "\n"
	})
	if err := m.monitor.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer m.monitor.close()
	if err := m.press(); err == nil || !strings.Contains(err.Error(), "shut VM 201 down: ask QEMU to system_powerdown: not now") {
		t.Errorf("%v", err)
	}
}

func TestMonitorThatIsNotThereIsAnError(t *testing.T) {
	m := fakeMachine(t)
	if err := m.monitor.open(t.Context()); err == nil {
		t.Error("opened a socket that isn't there")
	}
}
