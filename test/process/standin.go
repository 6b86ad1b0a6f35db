package process

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"
)

// beginning is how long a stand-in may take to say where it listens.
const beginning = 30 * time.Second

// StandIn starts `mayfly sim` with args and reads the line in which it says how to reach it into info. Whatever else it
// writes goes to the log.
func StandIn(t *testing.T, log *Journal, info any, args ...string) {
	t.Helper()
	out := &announcement{line: make(chan string, 1), log: log}
	p := Start(t, Options{Env: Environment(), Stdout: out, Stderr: log}, Program(), append([]string{"sim"}, args...)...)
	select {
	case line := <-out.line:
		if err := json.Unmarshal([]byte(line), info); err != nil {
			t.Fatalf("%s says %q first: %v", p.Name, line, err)
		}
	case <-p.Ended():
		t.Fatalf("%s: %v\n%s", p.Name, p.Wait(), log.Tail(20))
	case <-time.After(beginning):
		t.Fatalf("%s says nothing\n%s", p.Name, log.Tail(20))
	}
}

// announcement takes a process's standard output: the first line for whoever waits for it, the rest for the log.
type announcement struct {
	line chan string
	log  *Journal
	head []byte
	said bool
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

// Call makes a request with an Authorization header (none if ""), sends body as JSON and reads the reply into into (either
// may be nil). A request that doesn't succeed fails the test.
func Call(t *testing.T, web *http.Client, method, url, auth string, body, into any) {
	t.Helper()
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, payload)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := web.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s %.100s: %s %v %.300s", method, url, resp.Status, err, text)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s %.100s: %v in %.300s", method, url, err, text)
	}
}
