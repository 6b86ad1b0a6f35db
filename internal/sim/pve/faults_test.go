package pve

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Each kind of fault: what the client sees, and whether the request took effect.
func TestEveryKindOfFaultBreaksTheReplyAndOnlyThoseAfterTheEffectLetItHappen(t *testing.T) {
	for _, c := range []struct {
		kind   string
		spec   FaultSpec
		status string
		err    error
		effect bool
	}{
		{kind: "refuse", err: syscall.ECONNREFUSED},
		{kind: "reset_before", err: syscall.ECONNRESET},
		{kind: "reset_after", err: syscall.ECONNRESET, effect: true},
		{kind: "hold_before", status: "200 OK", effect: true},
		{kind: "hold_after", status: "200 OK", effect: true},
		{kind: "delay", spec: FaultSpec{DelayMS: 2000}, status: "200 OK", effect: true},
		{kind: "answer", spec: FaultSpec{Status: 500, Reason: "cluster not ready - no quorum?"}, status: "500 cluster not ready - no quorum?"},
		{kind: "answer", spec: FaultSpec{Status: 595}, status: "595 Connection refused"},
		{kind: "answer_after", status: "596 Connection timed out", effect: true},
		{kind: "cut_body", err: io.ErrUnexpectedEOF, effect: true},
	} {
		t.Run(c.kind, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, s *Server) {
				fleet := fleetOf(t, s)
				c.spec.Kind = c.kind
				c.spec.Match = FaultMatch{Method: "POST", Path: "/nodes/*/qemu/*/clone", VMID: 270}
				id, err := s.Fault(c.spec)
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(c.kind, "hold") {
					time.AfterFunc(time.Minute, func() { s.ReleaseFault(id) })
				}
				began := time.Now()
				a, err := fleet.try("POST", vmPath("9000", "/clone"), "newid=270", "pool=ci")
				took := time.Since(began)
				if !errors.Is(err, c.err) || c.err == nil && err != nil {
					t.Errorf("error %v, want %v", err, c.err)
				}
				if c.err == nil && a.status != c.status {
					t.Errorf("status %q, want %q", a.status, c.status)
				}
				if want := map[string]time.Duration{"delay": 2 * time.Second, "hold_before": time.Minute, "hold_after": time.Minute}[c.kind]; took != want {
					t.Errorf("took %v, want %v", took, want)
				}
				time.Sleep(5 * time.Second)
				if got := s.State().vm(270).VMID == 270; got != c.effect {
					t.Errorf("effect: %v, want %v", got, c.effect)
				}
				if r := s.State().Requests[0]; r.Fault != c.kind {
					t.Errorf("the request log names fault %q", r.Fault)
				}
				f := s.Faults()[0]
				if f.Seen != 1 || f.Fired != 1 {
					t.Errorf("fault %+v", f)
				}
			})
		})
	}
}

func TestFaultStrikesTheRequestsThatItMatchesAndNoOthers(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		fleet.vmFor("270")
		fleet.vmFor("271")
		arm := func(m FaultMatch) {
			t.Helper()
			if _, err := s.Fault(FaultSpec{Match: m, Kind: "answer", Status: 500, Reason: "broken"}); err != nil {
				t.Fatal(err)
			}
		}
		arm(FaultMatch{Method: "GET", Path: "**/config", VMID: 270, Nth: 2, Count: 2})
		for i, want := range []string{"200 OK", "500 broken", "500 broken", "200 OK"} {
			if got := fleet.call("GET", vmPath("270", "/config")).status; got != want {
				t.Errorf("request %d: %s, want %s", i+1, got, want)
			}
			fleet.must("200 OK", "GET", vmPath("271", "/config"))
			fleet.must("200 OK", "GET", vmPath("270", "/status/current"))
		}
		if n := s.ClearFaults(0); n != 1 {
			t.Errorf("%d faults removed", n)
		}
		arm(FaultMatch{Path: "/nodes/*/qemu/271", Count: -1}) // one segment: not what lies below
		fleet.must("200 OK", "GET", vmPath("271", "/config"))
		fleet.must("500 broken", "DELETE", vmPath("271"))
		fleet.must("500 broken", "DELETE", vmPath("271"))
		s.ClearFaults(0)
		arm(FaultMatch{Method: "POST", VMID: 280})
		if exit := fleet.task("POST", vmPath("9000", "/clone"), "newid=279", "pool=ci"); exit != "OK" {
			t.Error(exit)
		}
		fleet.must("500 broken", "POST", vmPath("9000", "/clone"), "newid=280", "pool=ci")
		fleet.must("200 OK", "POST", vmPath("9000", "/clone"), "newid=280", "pool=ci") // once only
	})
}

func TestTaskFaultEndsTheTaskAsTold(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, s *Server) {
		fleet := fleetOf(t, s)
		fleet.vmFor("270")
		arm := func(spec FaultSpec) {
			t.Helper()
			if _, err := s.Fault(spec); err != nil {
				t.Fatal(err)
			}
		}
		arm(FaultSpec{Match: FaultMatch{Task: "qmstart"}, Kind: "fail", Reason: "start failed: QEMU exited with code 1"})
		if exit := fleet.task("POST", vmPath("270", "/status/start")); exit != "start failed: QEMU exited with code 1" {
			t.Errorf("start: %q", exit)
		}
		if exit := fleet.task("POST", vmPath("270", "/status/start")); exit != "OK" {
			t.Errorf("second start: %q", exit)
		}
		fleet.vmFor("273")
		arm(FaultSpec{Match: FaultMatch{Task: "qmstart", At: "done"}, Kind: "fail", Reason: "start failed: got timeout"})
		if exit := fleet.task("POST", vmPath("273", "/status/start")); exit != "start failed: got timeout" || s.State().vm(273).Status != "running" {
			t.Errorf("a start that fails late: %q, and its guest is %s", exit, s.State().vm(273).Status)
		}
		arm(FaultSpec{Match: FaultMatch{Task: "qmclone", At: "copy"}, Kind: "fail", Reason: "lvcreate: insufficient free space"})
		if exit := fleet.task("POST", vmPath("9000", "/clone"), "newid=271", "pool=ci"); exit != "clone failed: lvcreate: insufficient free space" {
			t.Errorf("clone: %q", exit)
		}
		if v := s.State().vm(271); v.Status != "destroyed" || v.DestroyedBy != "" {
			t.Errorf("the failed clone left %+v", v)
		}
		for opt := range s.volumes {
			if strings.Contains(opt, "-271-") {
				t.Errorf("the failed clone left volume %s", opt)
			}
		}
	})
}

func TestFaultThatMakesNoSenseIsRefused(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	for _, spec := range []FaultSpec{
		{},
		{Kind: "explode"},
		{Kind: "delay", DelayMS: -1},
		{Kind: "answer", Status: 7},
		{Kind: "kill"},
		{Kind: "reset_after", Match: FaultMatch{Task: "qmstart"}},
		{Kind: "kill", Match: FaultMatch{Task: "qmclone", At: "nowhere"}},
		{Kind: "fail", Match: FaultMatch{Task: "qmstart"}},
		{Kind: "delay", Match: FaultMatch{At: "copy"}},
		{Kind: "delay", Match: FaultMatch{Nth: -1}},
		{Kind: "delay", Match: FaultMatch{Count: -2}},
	} {
		if id, err := s.Fault(spec); err == nil {
			t.Errorf("%+v was armed as %d", spec, id)
		}
	}
}

// door uses a test door as another process would, without a token.
func door(t *testing.T, s *Server, method, path, remote, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://pve1:8006/_sim"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	w := &recorder{header: http.Header{}}
	req.RemoteAddr = remote
	s.handler().ServeHTTP(w, req)
	return w.status, w.body.Bytes()
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

func TestDoorsAreForThisMachineAndNeedNoToken(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	const local = "127.0.0.1:1234"
	for _, remote := range []string{"192.0.2.7:1234", "nonsense", "[2001:db8::1]:1"} {
		if status, _ := door(t, s, "GET", "/state", remote, ""); status != http.StatusForbidden {
			t.Errorf("from %s: %d", remote, status)
		}
	}
	status, body := door(t, s, "GET", "/state", local, "")
	var st State
	if err := json.Unmarshal(body, &st); err != nil || status != http.StatusOK || len(st.VMs) != 13 {
		t.Errorf("state: %d, %d VMs, %v", status, len(st.VMs), err)
	}
	if bytes.Contains(body, []byte(s.Info().TokenSecret)) {
		t.Error("the state tells a secret")
	}
	if status, body := door(t, s, "POST", "/faults", local, `{"match":{"method":"GET","path":"/version"},"fault":"hold_before"}`); status != http.StatusOK || string(body) != `{"id":1}` {
		t.Errorf("arming: %d %s", status, body)
	}
	if status, body := door(t, s, "POST", "/faults", local, `{"fault":"reset_after","mach":{}}`); status != http.StatusBadRequest || !bytes.Contains(body, []byte("mach")) {
		t.Errorf("unknown field: %d %s", status, body)
	}
	if status, body := door(t, s, "GET", "/faults", local, ""); status != http.StatusOK || !bytes.Contains(body, []byte(`"fault":"hold_before"`)) {
		t.Errorf("list: %d %s", status, body)
	}
	if status, _ := door(t, s, "POST", "/faults/release?id=1", "[::1]:9", ""); status != http.StatusOK || !s.Faults()[0].Released {
		t.Errorf("release: %d", status)
	}
	if status, _ := door(t, s, "POST", "/faults/release?id=9", local, ""); status != http.StatusNotFound {
		t.Errorf("release of nothing: %d", status)
	}
	if status, body := door(t, s, "DELETE", "/faults?id=x", local, ""); status != http.StatusBadRequest {
		t.Errorf("bad id: %d %s", status, body)
	}
	if status, body := door(t, s, "DELETE", "/faults", local, ""); status != http.StatusOK || string(body) != `{"removed":1}` {
		t.Errorf("removal: %d %s", status, body)
	}
	if status, _ := door(t, s, "GET", "/nosuch", local, ""); status != http.StatusNotFound {
		t.Errorf("no such door: %d", status)
	}
}
