package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mayfly/internal/config"
)

// The files of a folder, beside one for each exchange.
const (
	configFile = "mayfly.yaml"
	readMe     = "README.md"
)

const about = `# A recording of mayfly check

What Proxmox VE and GitHub answered, for a report. Secrets and addresses are left out; names of nodes, storages, VMs, repositories and users
are stand-ins, the same in all files. Look through it before you send it.

- mayfly.yaml: the configuration, with the same stand-ins
- NNN-proxmox.json, NNN-github.json: one request and its reply each, in their order
`

// exchange is a request and its reply, as they are kept.
type exchange struct {
	Method string `json:"method"`
	// Path is the request's, with its query.
	Path   string            `json:"path"`
	Status string            `json:"status,omitempty"` // with the reason phrase; "" where no reply came
	Error  string            `json:"error,omitempty"`  // why none came
	Header map[string]string `json:"header,omitempty"`
	// Ahead is how far the server's clock was before this machine's, in seconds; absent where it didn't tell.
	Ahead *int64          `json:"clock_ahead_seconds,omitempty"`
	Body  json.RawMessage `json:"body,omitempty"`
}

// Save writes the folder, which must not be there or be empty. c is the configuration that was checked.
func (r *Recorder) Save(dir string, c *config.Config) error {
	if err := emptyFolder(dir); err != nil {
		return fmt.Errorf("record into %s: %w", dir, err)
	}
	red := &redactor{names: newNames()}
	safe := red.config(c)
	var text bytes.Buffer
	if err := config.Show(&text, safe, nil, false); err != nil {
		return fmt.Errorf("record into %s: %w", dir, err)
	}
	files := map[string][]byte{configFile: text.Bytes(), readMe: []byte(about)}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Names are collected from all replies before any message is written that may repeat one.
	for _, x := range r.list {
		red.body(x.body, x.server == githubServer)
	}
	for i, x := range r.list {
		b, err := json.MarshalIndent(red.exchange(x), "", "  ")
		if err != nil {
			return fmt.Errorf("record into %s: %w", dir, err)
		}
		files[fmt.Sprintf("%03d-%s.json", i+1, x.server)] = append(b, '\n')
	}
	secrets := secretsOf(c.Proxmox.TokenSecret, c.GitHub.Token)
	for name, b := range files {
		// Nothing should be left to find; what is found nevertheless isn't written.
		for _, s := range secrets {
			if bytes.Contains(b, []byte(s)) {
				return fmt.Errorf("record into %s: a secret is left in %s; this is a mistake of Mayfly's, nothing was written there", dir, name)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return fmt.Errorf("record: %w", err)
		}
	}
	return nil
}

func emptyFolder(dir string) error {
	list, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.MkdirAll(dir, 0o700)
	case err != nil:
		return err
	case len(list) > 0:
		return errors.New("the folder isn't empty; name a new one")
	}
	return nil
}

// exchange makes one exchange harmless.
func (r *redactor) exchange(x raw) exchange {
	github := x.server == githubServer
	e := exchange{Method: x.req.Method, Path: r.address(x.req.URL, github)}
	if x.err != nil {
		e.Error = r.text(x.err.Error())
		return e
	}
	code, reason, _ := strings.Cut(x.status, " ")
	e.Status = word(code) + " " + r.text(reason)
	e.Header = r.header(x.header, github)
	e.Body = r.body(x.body, github)
	if x.told {
		seconds := int64(x.ahead.Seconds())
		e.Ahead = &seconds
	}
	return e
}

// address is a request's path and query.
func (r *redactor) address(u *url.URL, github bool) string {
	path := r.path(u.EscapedPath(), github)
	query := url.Values{}
	for key, values := range u.Query() {
		for _, v := range values {
			switch key {
			case "poolid":
				v = r.names.name("pool", v)
			default:
				v = word(v)
			}
			if known := kinds[key] != "" || slices.Contains([]string{"page", "per_page", "filter", "exclude_pull_requests", "created"}, key); known {
				query.Add(key, v)
			}
		}
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// header keeps what the clients go by.
func (r *redactor) header(h http.Header, github bool) map[string]string {
	out := map[string]string{}
	for _, key := range []string{"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Used", "X-Ratelimit-Reset", "Retry-After"} {
		if v := h.Get(key); v != "" && word(v) != gone {
			out[key] = v
		}
	}
	if v, _, _ := strings.Cut(h.Get("Content-Type"), ";"); v == "application/json" {
		out["Content-Type"] = v
	}
	if v := h.Get(expires); expiresForm.MatchString(v) {
		out[expires] = v
	}
	if link := h.Get("Link"); github && link != "" {
		if kept := r.links(link); kept != "" {
			out["Link"] = kept
		}
	}
	return out
}
