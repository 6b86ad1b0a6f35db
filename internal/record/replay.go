package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"mayfly/internal/config"
)

// expires is the header in which GitHub says when a token ends.
const expires = "Github-Authentication-Token-Expiration"

var (
	expiresForm = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} (UTC|[+-][0-9]{4})$`)
	linkForm    = regexp.MustCompile(`<([^>]+)>; rel="(next|prev|first|last)"`)
)

// links keeps to which pages GitHub leads.
func (r *redactor) links(s string) string {
	var out []string
	for _, m := range linkForm.FindAllStringSubmatch(s, -1) {
		if u, err := url.Parse(m[1]); err == nil {
			out = append(out, fmt.Sprintf(`<https://api.github.com%s>; rel=%q`, r.address(u, true), m[2]))
		}
	}
	return strings.Join(out, ", ")
}

// Recording answers as the two servers did. Each request gets the replies that it got then, in their order, and the last one again.
type Recording struct {
	// Config is the configuration that was checked, with the recording's stand-ins and no secrets.
	Config *config.Config

	mu   sync.Mutex
	next map[string][]exchange
}

// Secrets for clients of a recording, which asks for none.
const (
	ProxmoxSecret = "00000000-0000-4000-8000-000000000000"
	GitHubToken   = "github_pat_recorded"
)

// Open reads a folder that [Recorder.Save] wrote.
func Open(dir string) (*Recording, error) {
	c, _, err := config.Load(config.LoadOptions{
		File: filepath.Join(dir, configFile), Env: []string{"PROXMOX_TOKEN_SECRET=" + ProxmoxSecret, "GITHUB_TOKEN=" + GitHubToken},
	})
	if err != nil {
		return nil, fmt.Errorf("open recording: %w", err)
	}
	rec := &Recording{Config: c, next: map[string][]exchange{}}
	files, err := filepath.Glob(filepath.Join(dir, "[0-9]*-*.json"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(fmt.Errorf("open recording %s: no exchanges in it", dir), err)
	}
	slices.Sort(files)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("open recording: %w", err)
		}
		var e exchange
		if err := json.Unmarshal(b, &e); err != nil {
			return nil, fmt.Errorf("open recording: %s: %w", file, err)
		}
		_, server, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), "-")
		rec.next[server+" "+e.Method+" "+e.Path] = append(rec.next[server+" "+e.Method+" "+e.Path], e)
	}
	return rec, nil
}

// Proxmox is the transport of a client to Proxmox VE.
func (r *Recording) Proxmox() http.RoundTripper { return player{r, proxmoxServer} }

// GitHub is the transport of a client to GitHub.
func (r *Recording) GitHub() http.RoundTripper { return player{r, githubServer} }

type player struct {
	from   *Recording
	server string
}

// RoundTrip answers from the recording; a request that isn't in it is an error.
func (p player) RoundTrip(req *http.Request) (*http.Response, error) {
	path := req.URL.EscapedPath()
	if q := req.URL.Query(); len(q) > 0 {
		path += "?" + q.Encode()
	}
	e, ok := p.from.take(p.server + " " + req.Method + " " + path)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s %s of %s isn't in the recording", req.Method, path, p.server)
	case e.Error != "":
		return nil, errors.New(e.Error)
	}
	resp := &http.Response{
		Status: e.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(e.Body))),
		ContentLength: int64(len(e.Body)), Request: req,
	}
	if _, err := fmt.Sscan(e.Status, &resp.StatusCode); err != nil {
		return nil, fmt.Errorf("%s %s of %s has status %q in the recording", req.Method, path, p.server, e.Status)
	}
	for key, value := range e.Header {
		resp.Header.Set(key, value)
	}
	if e.Ahead != nil {
		resp.Header.Set("Date", time.Now().Add(time.Duration(*e.Ahead)*time.Second).UTC().Format(http.TimeFormat))
	}
	return resp, nil
}

func (r *Recording) take(key string) (exchange, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.next[key]
	if len(list) == 0 {
		return exchange{}, false
	}
	if len(list) > 1 {
		r.next[key] = list[1:]
	}
	return list[0], true
}
