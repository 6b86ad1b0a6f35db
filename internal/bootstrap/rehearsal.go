package bootstrap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"mayfly/internal/runner"
)

// Rehearsal is the transport of a client that changes nothing: what only reads goes to Proxmox, what would change
// something is answered here, as if it had gone well. All of it is shown. The code that runs is the one that acts, so
// that what is shown is what would be sent.
type Rehearsal struct {
	// To carries the requests that only read.
	To http.RoundTripper
	// Show gets a line for each call: method, path, parameters.
	Show func(line string)
	// Secrets are shown as "***" wherever they stand in a parameter.
	Secrets []runner.Secret

	mu sync.Mutex
	// made are containers that would have been made, and status what those would do whose power was changed, by path.
	made   map[string]bool
	status map[string]string
}

// hidden are parameters that are never shown.
var hidden = map[string]bool{"ssh-public-keys": true, "password": true}

// rehearsedTask is the id of a task that would have been started.
const rehearsedTask = "UPID:%s:00000001:00000001:00000001:%s:%s:rehearsal@pve!dry-run:"

// A container's status, as Proxmox calls it.
const statusRunning, statusStopped = "running", "stopped"

var (
	onContainer = regexp.MustCompile(`^/api2/json(/nodes/([^/]+)/lxc/(\d+))(/.*)?$`)
	newOnNode   = regexp.MustCompile(`^/api2/json/nodes/([^/]+)/(lxc|storage/.*)$`)
)

// RoundTrip implements [http.RoundTripper].
func (r *Rehearsal) RoundTrip(req *http.Request) (*http.Response, error) {
	params, err := parametersOf(req)
	if err != nil {
		return nil, err
	}
	if strings.Contains(req.URL.Path, ":rehearsal@pve!dry-run:") {
		return answer(req, map[string]string{"status": "stopped", "exitstatus": "OK"})
	}
	r.show(req, params)
	r.mu.Lock()
	defer r.mu.Unlock()
	if req.Method != http.MethodGet {
		return r.pretend(req, params)
	}
	if m := onContainer.FindStringSubmatch(req.URL.Path); len(m) > 4 {
		switch status := r.status[m[1]]; {
		case status != "" && m[4] == "/status/current":
			return answer(req, map[string]any{"status": status})
		case r.made[m[1]]:
			return answer(req, map[string]any{"tags": TagReady, "status": statusStopped, "digest": "rehearsed"})
		}
	}
	return r.To.RoundTrip(req)
}

// pretend answers a call as if it had gone well.
func (r *Rehearsal) pretend(req *http.Request, params url.Values) (*http.Response, error) {
	if r.made == nil {
		r.made, r.status = map[string]bool{}, map[string]string{}
	}
	path := req.URL.Path
	if m := onContainer.FindStringSubmatch(path); m != nil {
		switch m[4] {
		case "/config":
			return answer(req, nil)
		case "/status/start":
			r.status[m[1]] = statusRunning
		case "/status/stop", "/status/shutdown":
			r.status[m[1]] = statusStopped
		}
		return answer(req, fmt.Sprintf(rehearsedTask, m[2], "vz", m[3]))
	}
	if m := newOnNode.FindStringSubmatch(path); m != nil {
		if m[2] == "lxc" {
			r.made["/nodes/"+m[1]+"/lxc/"+params.Get("vmid")] = true
		}
		return answer(req, fmt.Sprintf(rehearsedTask, m[1], "task", ""))
	}
	return answer(req, nil)
}

// show shows a call on one line, parameters in the order of their names.
func (r *Rehearsal) show(req *http.Request, params url.Values) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", req.Method, strings.TrimPrefix(req.URL.Path, "/api2/json"))
	for _, name := range slices.Sorted(maps.Keys(params)) {
		value := params.Get(name)
		for _, s := range r.Secrets {
			value = strings.ReplaceAll(value, s.Reveal(), runner.Redacted)
		}
		if hidden[name] {
			value = runner.Redacted
		}
		if strings.ContainsAny(value, " \n\"") {
			value = fmt.Sprintf("%q", value)
		}
		fmt.Fprintf(&b, " %s=%s", name, value)
	}
	r.Show(b.String())
}

// parametersOf reads a request's parameters: of an upload the fields before its file, and the file's name. The body is
// used up: a request that has one is never passed on.
func parametersOf(req *http.Request) (url.Values, error) {
	params := req.URL.Query()
	if req.Body == nil {
		return params, nil
	}
	defer func() { _ = req.Body.Close() }()
	kind, options, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil {
		return nil, fmt.Errorf("rehearse: %w", err)
	}
	if kind != "multipart/form-data" {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, fmt.Errorf("rehearse: %w", err)
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, fmt.Errorf("rehearse: %w", err)
		}
		maps.Copy(params, form)
		return params, nil
	}
	for parts := multipart.NewReader(req.Body, options["boundary"]); ; {
		part, err := parts.NextPart()
		if err != nil {
			return params, nil // the end
		}
		if part.FileName() != "" {
			params.Set(part.FormName(), part.FileName())
			params.Del("checksum") // of an archive that isn't prepared
			params.Del("checksum-algorithm")
			return params, nil
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, fmt.Errorf("rehearse: %w", err)
		}
		params.Set(part.FormName(), string(value))
	}
}

// answer is a reply of Proxmox's form.
func answer(req *http.Request, data any) (*http.Response, error) {
	body, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return nil, fmt.Errorf("rehearse: %w", err)
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req, Header: http.Header{},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}, nil
}
