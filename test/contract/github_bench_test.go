package contract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"mayfly/internal/sim/gh"
	"mayfly/internal/sim/runnerproto"
)

// githubBench is the GitHub stand-in with the description laid over it: every reply that passes is checked.
type githubBench struct {
	t     *testing.T
	s     *gh.Server
	spec  *githubSpec
	inner http.RoundTripper

	mu sync.Mutex
	// seen are the statuses that each "METHOD path" of the description has answered.
	seen map[string]map[int]bool
}

func newGitHubBench(t *testing.T, o gh.Options) *githubBench {
	t.Helper()
	s := gh.New(o)
	t.Cleanup(s.Close)
	return &githubBench{t: t, s: s, spec: loadGitHubSpec(t), inner: s.RoundTripper(), seen: map[string]map[int]bool{}}
}

// undescribed are endpoints that GitHub has but doesn't describe: config.sh's own.
var undescribed = map[string]bool{"POST /actions/runner-registration": true}

// RoundTrip implements [http.RoundTripper].
func (b *githubBench) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.inner.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	path := strings.TrimPrefix(req.URL.Path, "/api/v3")
	if strings.HasPrefix(path, "/_") || undescribed[req.Method+" "+path] {
		return resp, nil
	}
	if rest, ok := strings.CutPrefix(path, "/repositories/"); ok { // the form of paths in GitHub's own links
		_, tail, _ := strings.Cut(rest, "/")
		path = "/repos/NREL/EnergyPlus/" + tail
	}
	if err := b.spec.check(req.Method, path, resp.StatusCode, resp.Header, body); err != nil {
		why, _, _ := strings.Cut(err.Error(), "\n") // the rest repeats schema and value
		b.t.Errorf("%s %s answers %d: %s\n%s", req.Method, req.URL, resp.StatusCode, why, body)
	}
	template, _ := b.spec.match(path)
	key := req.Method + " " + template
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen[key] == nil {
		b.seen[key] = map[int]bool{}
	}
	b.seen[key][resp.StatusCode] = true
	return resp, nil
}

// ask makes a request; token "" is the first one, "-" none. into gets the reply unless it is nil.
func (b *githubBench) ask(status int, method, path, token string, body, into any) http.Header {
	b.t.Helper()
	payload, isText := body.(string)
	if body != nil && !isText {
		j, err := json.Marshal(body)
		if err != nil {
			b.t.Fatal(err)
		}
		payload = string(j)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, "http://github.sim"+path, strings.NewReader(payload))
	if err != nil {
		b.t.Fatal(err)
	}
	if token == "" {
		token = b.s.Info().Token
	}
	if token != "-" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := b.RoundTrip(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if resp.StatusCode != status {
		b.t.Errorf("%s %s: status %d, want %d: %s", method, path, resp.StatusCode, status, reply)
		return resp.Header
	}
	if into != nil {
		if err := json.Unmarshal(reply, into); err != nil {
			b.t.Errorf("%s %s: %v", method, path, err)
		}
	}
	return resp.Header
}

// fill puts values into a path of the description.
func fill(template string, values map[string]any) string {
	for name, value := range values {
		template = strings.ReplaceAll(template, "{"+name+"}", fmt.Sprint(value))
	}
	return template
}

// client speaks for the registration of an encoded JIT configuration.
func (b *githubBench) client(t *testing.T, encoded string) *runnerproto.Client {
	t.Helper()
	cfg, err := runnerproto.Decode(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return runnerproto.NewClient(cfg, b)
}
