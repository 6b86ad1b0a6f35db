package pve

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// started is a caller with a running VM 270 whose agent answers.
func started(t *testing.T, s *Server) caller {
	t.Helper()
	admin := adminOf(t, s)
	admin.vmFor("270")
	if exit := admin.task("POST", vmPath("270", "/status/start")); exit != "OK" {
		t.Fatal(exit)
	}
	return admin
}

func TestExecTakesAnArrayAndTellsOfAFinishedCommandOnce(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		c := started(t, s)
		exec, status := vmPath("270", "/agent/exec"), vmPath("270", "/agent/exec-status")
		pid := func(a answer) string {
			t.Helper()
			n, ok := a.object()["pid"].(float64)
			if !ok {
				t.Fatalf("no pid: %s", a.status)
			}
			return strconv.Itoa(int(n))
		}
		one := pid(c.must("200 OK", "POST", exec, "command=/bin/echo", "command=a", "command=b c"))
		got := c.must("200 OK", "GET", status, "pid="+one)
		var want any
		if err := json.Unmarshal([]byte(`{"exitcode":0,"out-data":"a b c\n","out-truncated":0,"exited":1}`), &want); err != nil {
			t.Fatal(err)
		}
		if a, b := mustJSON(t, got.object()), mustJSON(t, want); a != b {
			t.Errorf("exec-status: %s, want %s", a, b)
		}
		c.must("500 Agent error: Invalid parameter 'pid'", "GET", status, "pid="+one)
		two := pid(c.must("200 OK", "POST", exec, "command=cat", "input-data=stdin text\n"))
		if out := c.call("GET", status, "pid="+two).object()["out-data"]; out != "stdin text\n" {
			t.Errorf("output %q", out)
		}
		three := pid(c.must("200 OK", "POST", exec, "command=/bin/true"))
		if st := c.call("GET", status, "pid="+three).object(); len(st) != 2 {
			t.Errorf("a command without output: %v", st)
		}
		// UTF-8 goes in as characters of one byte and comes out as bytes, each a character.
		four := pid(c.must("200 OK", "POST", exec, "command=cat", "input-data=é"))
		if out := c.call("GET", status, "pid="+four).object()["out-data"]; out != "é" {
			t.Errorf("latin-1 output %q", out)
		}
		if a := c.must("400 Parameter verification failed.", "POST", exec); a.Errors["command"] != "property is missing and it is not optional" {
			t.Errorf("without a command: %v", a.Errors)
		}
		c.must("500 Wide character in subroutine entry at /usr/share/perl5/PVE/QemuServer/Agent.pm line 135.", "POST", exec, "command=cat", "input-data=€")
	})
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The agent's message has GLib's curly quotes, which Proxmox can't write into its status line: captures
// agent-exec-nosuchcmd, agent-exec-form-single-string.
func TestUnknownCommandIs596WithoutABody(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		c := started(t, s)
		a := c.must("596 Broken pipe", "POST", vmPath("270", "/agent/exec"), "command=/bin/echo a b")
		if a.Message != "" || a.Data != nil {
			t.Errorf("a body: %+v", a)
		}
	})
}

func TestFilesAreWrittenAndReadAsRecorded(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		c := started(t, s)
		write, read := vmPath("270", "/agent/file-write"), vmPath("270", "/agent/file-read")
		c.must("200 OK", "POST", write, "file=/tmp/x", "content=hello\nworld\n")
		c.must("200 OK", "POST", write, "file=/tmp/y", "content=YmluAGFyeQ==", "encode=0")
		for file, want := range map[string]string{
			"/tmp/x": `{"bytes-read":12,"content":"hello\nworld\n"}`, "/tmp/y": `{"bytes-read":7,"content":"bin\u0000ary"}`,
		} {
			if got := mustJSON(t, c.must("200 OK", "GET", read, "file="+file).object()); got != want {
				t.Errorf("%s: %s, want %s", file, got, want)
			}
		}
		c.must("500 Agent error: failed to open file '/nosuch/x' (mode: 'wb'): No such file or directory", "POST", write, "file=/nosuch/x", "content=a")
		c.must("500 Agent error: failed to open file '/tmp/u' (mode: 'r'): No such file or directory", "GET", read, "file=/tmp/u")
		c.must("500 Wide character in subroutine entry at /usr/share/perl5/PVE/API2/Qemu/Agent.pm line 624.", "POST", write, "file=/tmp/u", "content=grüße €\n")
		a := c.must("400 Parameter verification failed.", "POST", write, "file=/tmp/z", "content="+strings.Repeat("a", 61441))
		if a.Errors["content"] != "value may only be 61440 characters long" {
			t.Errorf("too long: %v", a.Errors)
		}
		c.must("200 OK", "POST", write, "file=/tmp/z", "content="+strings.Repeat("a", 61440))
	})
}

func TestAgentCallsSayWhyThereIsNoAgent(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		c := started(t, s)
		ping := vmPath("270", "/agent/ping")
		if got := string(c.must("200 OK", "POST", ping).Data); got != `{"result":{}}` {
			t.Errorf("ping: %s", got)
		}
		c.must("501 Method 'GET /nodes/pve1/qemu/270/agent/ping' not implemented", "GET", ping)
		c.task("POST", vmPath("270", "/status/stop"))
		c.must("500 VM 270 is not running", "POST", ping)
		c.must("500 VM 270 is not running", "POST", vmPath("270", "/agent/file-write"), "file=/x", "content=é")
		c.must("200 OK", "PUT", vmPath("270", "/config"), "agent=0")
		c.task("POST", vmPath("270", "/status/start"))
		c.must("500 QEMU guest agent is not running", "POST", ping)
		c.must("200 OK", "PUT", vmPath("270", "/config"), "delete=agent")
		c.task("POST", vmPath("270", "/status/reboot"))
		c.must("500 No QEMU guest agent configured", "POST", ping)
	})
}

func TestEveryAgentCommandAnswers(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		c := started(t, s)
		for _, command := range agentGets() {
			if a := c.must("200 OK", "GET", vmPath("270", "/agent/", command)); !bytes.HasPrefix(a.Data, []byte(`{"result":`)) {
				t.Errorf("%s: %s", command, a.Data)
			}
		}
		for _, command := range agentPosts() {
			if command != "shutdown" {
				c.must("200 OK", "POST", vmPath("270", "/agent/", command))
				c.must("200 OK", "POST", vmPath("270", "/agent"), "command="+command)
			}
		}
		// A refusal of these comes as a result.
		want := `{"result":{"error":{"class":"CommandNotFound","desc":"The command guest-suspend-ram has not been found"}}}`
		if got := string(c.must("200 OK", "POST", vmPath("270", "/agent"), "command=suspend-ram").Data); got != want {
			t.Errorf("refused: %s", got)
		}
		c.must("200 OK", "POST", vmPath("270", "/agent/shutdown"))
		if st := c.call("GET", vmPath("270", "/status/current")).object()["status"]; st != "stopped" {
			t.Errorf("after the agent's shutdown: %v", st)
		}
	})
}

// JSON bodies do as well as forms.
func TestExecTakesAJSONBody(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		c := started(t, s)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://pve1:8006/api2/json"+vmPath("270", "/agent/exec"),
			strings.NewReader(`{"command":["/bin/echo","hi"]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "PVEAPIToken="+c.id+"="+c.secret)
		resp, err := c.rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || !bytes.HasPrefix(body, []byte(`{"data":{"pid":`)) {
			t.Errorf("%s %s %v", resp.Status, body, err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	})
}
