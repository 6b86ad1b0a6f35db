package github

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mayfly/internal/runner"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var octo = runner.Target{Owner: "octo-org", Repo: "octo-repo"}

const (
	testToken = "github_pat_11AAAAAAA0123456789_abcdefghijklmnop"
	testJIT   = "eyJzZWNyZXQiOiJhIHByaXZhdGUga2V5In0="
	root      = "/repos/octo-org/octo-repo"
)

// object is a piece of GitHub's JSON.
type object = map[string]any

// example reads one of GitHub's own examples.
func example(t testing.TB, name string) object {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var o object
	if err := json.Unmarshal(data, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func with(o object, changes object) object {
	out := maps.Clone(o)
	maps.Copy(out, changes)
	return out
}

// fake is GitHub for one repository: lists in pages with Link, total_count and ETags, and the hourly budget.
type fake struct {
	run, job, oneRunner object // GitHub's examples

	mu      sync.Mutex
	runs    []object
	jobs    map[int64][]object // by run
	runners []object
	noETags bool
	header  http.Header // added to every reply
	// fault, when set, may answer in the fake's place; n counts requests from 1.
	fault    func(n int, w http.ResponseWriter, r *http.Request) bool
	requests []string // "GET /path?query 200"
	seen     []*http.Request
	bodies   []string
}

func newFake(t testing.TB) *fake {
	first := func(o object, key string) object { return o[key].([]any)[0].(object) }
	return &fake{
		run:       first(example(t, "workflow-run-paginated"), "workflow_runs"),
		job:       first(example(t, "job-paginated"), "jobs"),
		oneRunner: example(t, "runner"),
		jobs:      map[int64][]object{},
		header:    http.Header{},
	}
}

// addRun adds a run whose jobs have the given changes to GitHub's example.
func (f *fake) addRun(id int64, status string, jobs ...object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// In GitHub's example the two repositories differ in their ids.
	f.runs = append(f.runs, with(f.run, object{"id": id, "status": status, "conclusion": nil, "head_repository": f.run["repository"]}))
	for _, j := range jobs {
		f.jobs[id] = append(f.jobs[id], with(with(f.job, object{"run_id": id, "conclusion": nil, "completed_at": nil, "runner_id": nil, "runner_name": nil, "runner_group_id": nil, "runner_group_name": nil}), j))
	}
}

func (f *fake) addRunner(id int64, name, status string, busy bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runners = append(f.runners, with(f.oneRunner, object{"id": id, "name": name, "status": status, "busy": busy}))
}

func queued(id int64) object { return object{"id": id, "status": "queued"} }

// log is what was asked, without host: "GET /path?query 200".
func (f *fake) log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

func (f *fake) count(suffix string) int {
	n := 0
	for _, l := range f.log() {
		if strings.HasSuffix(l, suffix) {
			n++
		}
	}
	return n
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.seen, f.bodies = append(f.seen, r), append(f.bodies, string(body))
	n := len(f.seen)
	fault := f.fault
	f.mu.Unlock()
	rec := httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil {
			f.note(r, "broken")
			panic(p)
		}
		f.note(r, strconv.Itoa(rec.Code))
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	}()
	rec.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	for k, v := range f.header {
		rec.Header()[k] = v
	}
	if fault != nil && fault(n, rec, r) {
		return
	}
	f.route(rec, r)
}

func (f *fake) note(r *http.Request, outcome string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r.Method+" "+r.URL.RequestURI()+" "+outcome)
}

func (f *fake) route(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path, ok := strings.CutPrefix(r.URL.Path, root)
	if !ok || r.Header.Get("Authorization") != "Bearer "+testToken {
		say(w, http.StatusNotFound, object{"message": "Not Found"})
		return
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case path == "":
		f.answer(w, r, object{"id": 1296269, "full_name": "octo-org/octo-repo", "private": true})
	case path == "/actions/runs":
		status := r.URL.Query().Get("status")
		created, limit := strings.CutPrefix(r.URL.Query().Get("created"), "<=")
		var match []object
		for _, run := range f.runs {
			if run["status"] == status && (!limit || run["created_at"].(string) <= created) {
				match = append(match, run)
			}
		}
		slices.SortStableFunc(match, func(a, b object) int {
			return cmp.Compare(b["created_at"].(string), a["created_at"].(string))
		})
		f.list(w, r, "workflow_runs", match, searchLimit)
	case len(parts) == 4 && parts[1] == "runs" && parts[3] == "jobs":
		id, _ := strconv.ParseInt(parts[2], 10, 64)
		jobs, known := f.jobs[id]
		if !known {
			say(w, http.StatusNotFound, object{"message": "Not Found"})
			return
		}
		f.list(w, r, "jobs", jobs, 0)
	case path == "/actions/runners":
		match := f.runners
		if name := r.URL.Query().Get("name"); name != "" {
			match = slices.DeleteFunc(slices.Clone(match), func(o object) bool { return o["name"] != name })
		}
		f.list(w, r, "runners", match, 0)
	case path == "/actions/runners/registration-token":
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"expires_at": "2020-01-22T12:13:35.123-08:00", "token": "LLBF3JGZDX3P5PMEXLND6TS6FCWO6"}`)
	case path == "/actions/runners/generate-jitconfig":
		f.mint(w)
	case len(parts) == 3 && parts[1] == "runners":
		f.oneOf(w, r, parts[2])
	default:
		say(w, http.StatusNotFound, object{"message": "Not Found"})
	}
}

func (f *fake) mint(w http.ResponseWriter) {
	var in struct {
		Name   string   `json:"name"`
		Group  int64    `json:"runner_group_id"`
		Labels []string `json:"labels"`
	}
	if json.Unmarshal([]byte(f.bodies[len(f.bodies)-1]), &in) != nil || in.Group != 1 {
		say(w, http.StatusUnprocessableEntity, object{"message": "Validation Failed"})
		return
	}
	if slices.ContainsFunc(f.runners, func(o object) bool { return o["name"] == in.Name }) {
		say(w, http.StatusConflict, object{"message": "Already exists - A runner with the name " + in.Name + " already exists."})
		return
	}
	made := with(f.oneRunner, object{"id": 1000 + len(f.runners), "name": in.Name, "status": "offline", "busy": false})
	f.runners = append(f.runners, made)
	say(w, http.StatusCreated, object{"runner": made, "encoded_jit_config": testJIT})
}

func (f *fake) oneOf(w http.ResponseWriter, r *http.Request, id string) {
	i := slices.IndexFunc(f.runners, func(o object) bool { return fmt.Sprint(o["id"]) == id })
	switch {
	case i < 0:
		say(w, http.StatusNotFound, object{"message": "Not Found", "documentation_url": "https://docs.github.com/rest"})
	case r.Method == http.MethodGet:
		f.answer(w, r, f.runners[i])
	case f.runners[i]["busy"] == true:
		say(w, http.StatusUnprocessableEntity, object{"message": fmt.Sprintf("Runner %q is still running a job", f.runners[i]["name"])})
	default:
		f.runners = slices.Delete(f.runners, i, i+1)
		w.WriteHeader(http.StatusNoContent)
	}
}

// list answers with one page.
func (f *fake) list(w http.ResponseWriter, r *http.Request, key string, all []object, most int) {
	q := r.URL.Query()
	per, at := cmp.Or(atoi(q.Get("per_page")), 30), cmp.Or(atoi(q.Get("page")), 1)
	shown := all
	if most > 0 && len(all) > most {
		shown = all[:most]
	}
	from, to := min((at-1)*per, len(shown)), min(at*per, len(shown))
	items := append([]object{}, shown[from:to]...)
	if to < len(shown) {
		q.Set("page", strconv.Itoa(at+1))
		next := url.URL{Scheme: "https", Host: r.Host, Path: r.URL.Path, RawQuery: q.Encode()}
		q.Set("page", strconv.Itoa((len(shown)+per-1)/per))
		last := url.URL{Scheme: "https", Host: r.Host, Path: r.URL.Path, RawQuery: q.Encode()}
		w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next", <%s>; rel="last"`, &next, &last))
	}
	f.answer(w, r, object{"total_count": len(all), key: items})
}

// answer is a 200 with an ETag, or a 304.
func (f *fake) answer(w http.ResponseWriter, r *http.Request, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	if !f.noETags {
		sum := sha256.Sum256(body)
		etag := `W/"` + hex.EncodeToString(sum[:]) + `"`
		w.Header().Set("Etag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(body)
}

func say(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }

// inProcess is a transport to a handler, for virtual time. A handler that panics with http.ErrAbortHandler breaks the
// connection after the request was sent.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(req *http.Request) (res *http.Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			if e, ok := v.(error); !ok || !errors.Is(e, http.ErrAbortHandler) {
				panic(v)
			}
			res, err = nil, io.ErrUnexpectedEOF
		}
	}()
	in := req.Clone(context.WithoutCancel(req.Context()))
	if in.Body == nil {
		in.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	p.handler.ServeHTTP(rec, in)
	res = rec.Result()
	res.Request = req
	return res, nil
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newClient is a client of the fake without connections.
func newClient(t testing.TB, h http.Handler, change ...func(*Options)) *Client {
	t.Helper()
	o := Options{BaseURL: "https://api.github.com", Token: runner.NewSecret(testToken), Transport: inProcess{h}, Pace: -1}
	for _, c := range change {
		c(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	hurry(c)
	return c
}

// hurry makes the waits before repeats short; tests about them use virtual time.
func hurry(c *Client) {
	c.gh.Client().Transport.(*verdict).next.(*retry).first = backoffSteps * 2
}

// overTCP is a client with its own transport, to a real server.
func overTCP(t testing.TB, h http.Handler) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := New(Options{BaseURL: srv.URL + "/", Token: runner.NewSecret(testToken), Pace: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// underV3 puts the fake where GitHub Enterprise Server has its API.
func underV3(h http.Handler) http.Handler { return http.StripPrefix("/api/v3", h) }

func reply(status int, body string, header http.Header) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body))}
}
