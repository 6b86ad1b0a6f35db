package pve

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs a test in virtual time, with a server that is closed at its end.
func bubble(t *testing.T, opts Options, fn func(t *testing.T, s *Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := New(opts)
		defer s.Close()
		fn(t, s)
	})
}

// caller speaks to a server with one token, as a plain HTTP client.
type caller struct {
	t          *testing.T
	rt         http.RoundTripper
	id, secret string
}

func fleetOf(t *testing.T, s *Server) caller {
	info := s.Info()
	return caller{t, s.RoundTripper(), info.TokenID, info.TokenSecret}
}

func adminOf(t *testing.T, s *Server) caller {
	info := s.Info()
	return caller{t, s.RoundTripper(), info.AdminTokenID, info.AdminTokenSecret}
}

// answer is a reply of the API.
type answer struct {
	status  string // "403 Permission check failed (/vms/101, VM.Audit)"
	Data    json.RawMessage
	Message string
	Errors  map[string]string
}

// call sends a request; params are pairs "k=v", unescaped, in the query of GET and DELETE.
func (c caller) call(method, path string, params ...string) answer {
	c.t.Helper()
	a, err := c.try(method, path, params...)
	if err != nil {
		c.t.Errorf("%s %s: %v", method, path, err)
	}
	return a
}

func (c caller) try(method, path string, params ...string) (answer, error) {
	values := url.Values{}
	for _, p := range params {
		k, v, _ := strings.Cut(p, "=")
		values.Add(k, v)
	}
	target, body := "https://pve1:8006/api2/json"+path, ""
	if len(values) > 0 {
		if method == http.MethodGet || method == http.MethodDelete {
			target += "?" + values.Encode()
		} else {
			body = values.Encode()
		}
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Authorization", "PVEAPIToken="+c.id+"="+c.secret)
	resp, err := c.rt.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{status: resp.Status}, err
	}
	a := answer{}
	if len(raw) > 0 && strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(raw, &a); err != nil {
			return answer{status: resp.Status}, err
		}
	}
	a.status = resp.Status
	return a, nil
}

// text is a reply's data when it is a string: a UPID.
func (a answer) text() string {
	var s string
	_ = json.Unmarshal(a.Data, &s)
	return s
}

// object is a reply's data when it is an object.
func (a answer) object() map[string]any {
	var m map[string]any
	_ = json.Unmarshal(a.Data, &m)
	return m
}

// task sends a request that makes a task, and returns the task's exit status.
func (c caller) task(method, path string, params ...string) string {
	c.t.Helper()
	a := c.call(method, path, params...)
	if a.status != "200 OK" {
		c.t.Fatalf("%s %s: %s", method, path, a.status)
	}
	return c.wait(a.text())
}

// wait waits for the end of a task.
func (c caller) wait(upid string) string {
	c.t.Helper()
	path := "/nodes/" + strings.Split(upid, ":")[1] + "/tasks/" + upid + "/status"
	for {
		st := c.call(http.MethodGet, path)
		if st.status != "200 OK" {
			c.t.Fatalf("status of %s: %s", upid, st.status)
		}
		if m := st.object(); m["status"] == "stopped" {
			exit, _ := m["exitstatus"].(string)
			return exit
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// log is a task's log.
func (c caller) log(upid string) []string {
	c.t.Helper()
	var lines []struct{ T string }
	a := c.call(http.MethodGet, "/nodes/"+strings.Split(upid, ":")[1]+"/tasks/"+upid+"/log", "limit=0")
	if err := json.Unmarshal(a.Data, &lines); err != nil {
		c.t.Fatalf("log of %s: %v", upid, err)
	}
	var out []string
	for _, l := range lines {
		out = append(out, l.T)
	}
	return out
}

// must demands a status line.
func (c caller) must(want, method, path string, params ...string) answer {
	c.t.Helper()
	a := c.call(method, path, params...)
	if a.status != want {
		c.t.Errorf("%s %s %v: got %q, want %q", method, path, params, a.status, want)
	}
	return a
}

// vmFor clones the template to id, in the runners' pool.
func (c caller) vmFor(id string) {
	c.t.Helper()
	if exit := c.task("POST", "/nodes/pve1/qemu/9000/clone", "newid="+id, "name=r"+id, "pool=ci"); exit != "OK" {
		c.t.Fatalf("clone to %s: %s", id, exit)
	}
}

func vmPath(id string, more ...string) string {
	return "/nodes/pve1/qemu/" + id + strings.Join(more, "")
}
