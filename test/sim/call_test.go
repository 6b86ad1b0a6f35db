package sim

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// call is one request of a dispatcher's process, on its way through the world.
type call struct {
	at     time.Time // when it set out
	side   string    // toProxmox or toGitHub
	gen    int       // which process of the dispatcher
	method string
	path   string // below the API's own prefix, without the query
	route  string // method and path, with "*" for all that differs from call to call
	node   string
	vmid   int
	form   url.Values // of a change of Proxmox
	query  url.Values
	body   []byte

	fault    kind
	executed bool // the stand-in has worked on it, whatever came of the reply
	real     int  // the status that the stand-in answered with; 0 when it didn't
	status   int  // what the dispatcher was told; 0 for an error
	reply    []byte
	err      error
}

// The sides.
const (
	toProxmox = "proxmox"
	toGitHub  = "github"
	fromGuest = "guest"
)

func newCall(side string, gen int, req *http.Request, body []byte) *call {
	path := strings.TrimPrefix(strings.TrimPrefix(req.URL.Path, "/api2/json"), "/api/v3")
	c := &call{at: time.Now(), side: side, gen: gen, method: req.Method, path: path, body: body, query: req.URL.Query()}
	parts := strings.Split(path, "/")
	if len(parts) > 2 && parts[1] == "nodes" {
		c.node = parts[2]
		if len(parts) > 4 && parts[3] == "qemu" {
			c.vmid = atoi(parts[4])
		}
	}
	if side == toProxmox && req.Method != http.MethodGet {
		c.form, _ = url.ParseQuery(string(body))
	}
	for i, part := range parts {
		if i == 2 && parts[1] == "nodes" || (i == 2 || i == 3) && parts[1] == "repos" || isNumber(part) || strings.HasPrefix(part, "UPID") {
			parts[i] = "*"
		} else if strings.Contains(part, ":") { // a volume, to the path's end
			parts = append(parts[:i:i], "*")
			break
		}
	}
	c.route = req.Method + " " + strings.Join(parts, "/")
	return c
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// is reports whether the call is of that route.
func (c *call) is(route string) bool { return c.route == route }

// The routes that the invariants speak of.
const (
	routeClone      = "POST /nodes/*/qemu/*/clone"
	routeConfig     = "GET /nodes/*/qemu/*/config"
	routeSet        = "PUT /nodes/*/qemu/*/config"
	routeStart      = "POST /nodes/*/qemu/*/status/start"
	routeStop       = "POST /nodes/*/qemu/*/status/stop"
	routeDestroy    = "DELETE /nodes/*/qemu/*"
	routeMint       = "POST /repos/*/*/actions/runners/generate-jitconfig"
	routeRemove     = "DELETE /repos/*/*/actions/runners/*"
	routeRunner     = "GET /repos/*/*/actions/runners/*"
	routeRunners    = "GET /repos/*/*/actions/runners"
	routeRead       = "GET /nodes/*/qemu/*/agent/file-read"
	routeExec       = "POST /nodes/*/qemu/*/agent/exec"
	routeUnload     = "DELETE /nodes/*/storage/local/content/*"
	routeNextID     = "GET /cluster/nextid"
	routeTask       = "GET /nodes/*/tasks/*/status"
	routeTaskLog    = "GET /nodes/*/tasks/*/log"
	routeExecStatus = "GET /nodes/*/qemu/*/agent/exec-status"
	routeUpload     = "POST /nodes/*/storage/local/upload"
	routeWrite      = "POST /nodes/*/qemu/*/agent/file-write"
)

// good reports whether the stand-in did what was asked.
func (c *call) good() bool { return c.executed && c.real/100 == 2 }
