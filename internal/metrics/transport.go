package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The sides, as the label side names them.
const (
	Proxmox = "proxmox"
	GitHub  = "github"
)

// Transport counts the requests to a side and passes them on.
func (r *Recorder) Transport(side string) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper { return &counting{next: next, recorder: r, side: side} }
}

// counting counts requests.
type counting struct {
	next     http.RoundTripper
	recorder *Recorder
	side     string
}

func (c *counting) RoundTrip(req *http.Request) (*http.Response, error) {
	busy := c.recorder.inFlight.WithLabelValues(c.side)
	busy.Inc()
	defer busy.Dec()
	method, route := verb(req.Method), Route(req.URL.Path)
	began := time.Now()
	res, err := c.next.RoundTrip(req)
	c.recorder.requestDuration.WithLabelValues(c.side, method, route).Observe(time.Since(began).Seconds())
	status := "error"
	if err == nil {
		status = strconv.Itoa(res.StatusCode)
	}
	c.recorder.requests.WithLabelValues(c.side, method, route, status).Inc()
	return res, err
}

// verb bounds the methods to those that we use.
func verb(method string) string {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete:
		return method
	}
	return "other"
}

// words are the parts of API paths that stay as they are in a route; all others vary. Each is in the paths that
// internal/proxmox or internal/github asks for.
var words = strings.Fields(`
	access acl agent appendfile apl aplinfo applications audit cluster clone config console content current delete destroy
	disks download-url exec exec-status feature file-read file-write firewall get-fsinfo ha info jobs lxc log mapping migrate
	network network-get-interfaces nextid nodes options permissions ping pools qemu query-url-metadata reboot replication
	resources roles sdn shutdown start status stop storage tasks template ticket token unlock upload users version vnets zones
	actions generate-jitconfig labels orgs rate_limit registration-token repos runner-groups runners runs user workflows
	dispatches releases latest installation branches contents
`)

// Route is the class of an API path: what names a node, a VM, a task, a repository or the like is "*", so that there are as
// many routes as kinds of calls.
func Route(path string) string {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "/api2/json"), "/api/v3")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, p := range parts {
		if !slices.Contains(words, p) || named(parts, i) {
			parts[i] = "*"
		}
	}
	if len(parts) > maxParts {
		parts = append(parts[:maxParts:maxParts], "...")
	}
	return "/" + strings.Join(parts, "/")
}

// maxParts bounds the length of a route.
const maxParts = 8

// named reports whether the part is a name by its place, though it may read as a word: a node or an owner may be called
// "storage".
func named(parts []string, i int) bool {
	if i == 0 {
		return false
	}
	switch parts[0] {
	case "nodes":
		return i == 1 || parts[i-1] == "storage" && i > 2
	case "orgs", "pools":
		return i == 1
	case "repos":
		return i == 1 || i == 2
	}
	return false
}
