package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"mayfly/internal/sim/runnerproto"
)

// token is the secret of the registration that fakes know.
const token = "runner-secret-0123456789"

// fake is the server's side of runnerproto, as small as it can be.
type fake struct {
	*httptest.Server
	t *testing.T

	// messages are given to polls; gone answers them, and everything after, with 404.
	messages chan runnerproto.Message
	gone     chan struct{}

	mu sync.Mutex
	// refuse plays a refusal at "METHOD path", as often as there are.
	refuse     map[string][]refusal
	calls      []string
	log        strings.Builder
	result     map[int64]runnerproto.Result
	cancelled  bool // what leases say
	registered []runnerproto.RegisterRequest
	completed  chan struct{} // closed at the first result
}

type refusal struct {
	status   int
	typeName string
}

func newFake(t *testing.T) *fake {
	f := &fake{
		t: t, messages: make(chan runnerproto.Message, 10), gone: make(chan struct{}), refuse: map[string][]refusal{},
		result: map[int64]runnerproto.Result{}, completed: make(chan struct{}),
	}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// config is an encoded JIT configuration of the fake's.
func (f *fake) config(ephemeral bool) string {
	encoded, err := runnerproto.Encode(runnerproto.Config{
		AgentID: 7, Name: "ep-0123456789", PoolID: 1, PoolName: "Default", ServerURL: f.URL + "/_runner", WorkFolder: "_work",
		Ephemeral: ephemeral, Token: token, ClientID: "client",
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return encoded
}

// refuseNext makes the next calls fail.
func (f *fake) refuseNext(call string, times, status int, typeName string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range times {
		f.refuse[call] = append(f.refuse[call], refusal{status, typeName})
	}
}

func (f *fake) count(call string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if c == call {
			n++
		}
	}
	return n
}

func (f *fake) logged() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.String()
}

func (f *fake) resultOf(job int64) runnerproto.Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.result[job]
}

// ServeHTTP implements [http.Handler].
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/_runner")
	f.mu.Lock()
	f.calls = append(f.calls, call)
	var no *refusal
	if todo := f.refuse[call]; len(todo) > 0 {
		no, f.refuse[call] = &todo[0], todo[1:]
	}
	f.mu.Unlock()
	auth := r.Header.Get("Authorization")
	switch {
	case no != nil:
		reply(w, no.status, runnerproto.ErrorBody{TypeName: no.typeName, Message: "no"})
	case call == "POST /api/v3/actions/runner-registration":
		f.register(w, r)
	case auth != "Bearer "+token:
		reply(w, http.StatusUnauthorized, runnerproto.ErrorBody{Message: "Bad credentials"})
	case call == "POST /sessions":
		reply(w, http.StatusOK, runnerproto.Session{SessionID: "s1"})
	case call == "GET /message":
		select {
		case m := <-f.messages:
			reply(w, http.StatusOK, m)
		case <-f.gone:
			reply(w, http.StatusNotFound, runnerproto.ErrorBody{Message: "runner not found"})
		case <-r.Context().Done():
		}
	case call == "DELETE /sessions/s1":
		w.WriteHeader(http.StatusNoContent)
	default:
		f.job(w, r, call)
	}
}

func (f *fake) register(w http.ResponseWriter, r *http.Request) {
	var in runnerproto.RegisterRequest
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("Authorization") != "RemoteAuth AREG" {
		reply(w, http.StatusUnauthorized, runnerproto.ErrorBody{Message: "no such token"})
		return
	}
	f.mu.Lock()
	f.registered = append(f.registered, in)
	f.mu.Unlock()
	reply(w, http.StatusOK, runnerproto.Registered{JIT: f.config(in.Ephemeral)})
}

func (f *fake) job(w http.ResponseWriter, r *http.Request, call string) {
	parts := strings.Split(call, "/") // "POST ", "jobs", id, verb
	if len(parts) != 4 || parts[1] != "jobs" {
		f.t.Errorf("unexpected call %s", call)
		w.WriteHeader(http.StatusNotFound)
		return
	}
	id, _ := strconv.ParseInt(parts[2], 10, 64)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch parts[3] {
	case "log":
		var in runnerproto.LogRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			f.t.Error(err)
		}
		f.log.WriteString(in.Text)
	case "renew":
		reply(w, http.StatusOK, runnerproto.Lease{Cancelled: f.cancelled})
		return
	case "complete":
		var in runnerproto.CompleteRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			f.t.Error(err)
		}
		if len(f.result) == 0 {
			close(f.completed)
		}
		f.result[id] = in.Result
	}
	reply(w, http.StatusOK, struct{}{})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
