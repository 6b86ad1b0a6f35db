package gh

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"mayfly/internal/sim/runnerproto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const runners = "/repos/NREL/EnergyPlus/actions/runners"

// bench is a stand-in and the way to it.
type bench struct {
	t         *testing.T
	s         *Server
	url       string
	transport http.RoundTripper
}

// inProcess reaches the stand-in without a connection; it works in virtual time.
func inProcess(t *testing.T, o Options) *bench {
	t.Helper()
	s := New(o)
	t.Cleanup(s.Close)
	return &bench{t: t, s: s, url: "http://github.sim", transport: s.RoundTripper()}
}

// overListener reaches it over TCP.
func overListener(t *testing.T, o Options) *bench {
	t.Helper()
	s := New(o)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return &bench{t: t, s: s, url: "http://" + l.Addr().String(), transport: &http.Transport{DisableKeepAlives: true}}
}

// got is a reply.
type got struct {
	status int
	header http.Header
	body   []byte
}

// ask makes a request with the first token. Headers come in pairs.
func (b *bench) ask(method, path string, body any, headers ...string) got {
	b.t.Helper()
	g, err := b.try(method, path, body, headers...)
	if err != nil {
		b.t.Fatal(err)
	}
	return g
}

func (b *bench) try(method, path string, body any, headers ...string) (got, error) {
	payload, isText := body.(string)
	if !isText && body != nil {
		j, err := json.Marshal(body)
		if err != nil {
			return got{}, err
		}
		payload = string(j)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, b.url+path, bytes.NewReader([]byte(payload)))
	if err != nil {
		return got{}, err
	}
	req.Header.Set("Authorization", "Bearer "+b.s.Info().Token)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.transport.RoundTrip(req)
	if err != nil {
		return got{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	reply, err := io.ReadAll(resp.Body)
	return got{resp.StatusCode, resp.Header, reply}, err
}

// must is ask, and the status has to be the one wanted. into gets the reply unless it is nil.
func (b *bench) must(status int, method, path string, body, into any) {
	b.t.Helper()
	g := b.ask(method, path, body)
	if g.status != status {
		b.t.Fatalf("%s %s: status %d, want %d: %s", method, path, g.status, status, g.body)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(g.body, into); err != nil {
		b.t.Fatalf("%s %s: %v: %s", method, path, err, g.body)
	}
}

type object = map[string]any

// jitBody asks for a runner.
func jitBody(name string, labels ...string) object {
	return object{"name": name, "runner_group_id": 1, "labels": labels}
}

// mint makes a JIT registration and the client that speaks for it.
func (b *bench) mint(name string, labels ...string) (*runnerproto.Client, int64) {
	b.t.Helper()
	var out struct {
		Runner  struct{ ID int64 }
		Encoded string `json:"encoded_jit_config"`
	}
	b.must(http.StatusCreated, http.MethodPost, runners+"/generate-jitconfig", jitBody(name, labels...), &out)
	return b.client(out.Encoded), out.Runner.ID
}

func (b *bench) client(encoded string) *runnerproto.Client {
	b.t.Helper()
	cfg, err := runnerproto.Decode(encoded)
	if err != nil {
		b.t.Fatal(err)
	}
	return runnerproto.NewClient(cfg, b.transport)
}

// online mints a runner and opens its session.
func (b *bench) online(name string, labels ...string) (*runnerproto.Client, int64) {
	b.t.Helper()
	c, id := b.mint(name, labels...)
	if err := c.Open(b.t.Context(), name+".host", "2.336.0"); err != nil {
		b.t.Fatal(err)
	}
	return c, id
}

// take polls until there is a job.
func (b *bench) take(c *runnerproto.Client) *runnerproto.Message {
	b.t.Helper()
	for {
		m, err := c.Message(b.t.Context(), 0)
		if err != nil {
			b.t.Fatal(err)
		}
		if m != nil {
			return m
		}
	}
}

// job is the state of a job.
func (b *bench) job(id int64) JobState {
	b.t.Helper()
	for _, j := range b.s.Jobs() {
		if j.ID == id {
			return j
		}
	}
	b.t.Fatalf("no job %d", id)
	return JobState{}
}

// runner is the state of a registration.
func (b *bench) runner(id int64) RunnerState {
	b.t.Helper()
	for _, r := range b.s.Runners() {
		if r.ID == id {
			return r
		}
	}
	b.t.Fatalf("no runner %d", id)
	return RunnerState{}
}
