package contract_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mayfly/internal/sim/pve"
)

// proxmox is a stand-in in the state of one capture.
type proxmox struct {
	t    *testing.T
	s    *pve.Server
	rt   http.RoundTripper
	all  map[string]capture
	as   string // who asks
	path func(string) string
}

// tokenSecret is that of the tokens with less than the fleet's privileges: "nopriv" has none, "nosys" none on nodes,
// "options" VM.Config.Options on one container, "lmk", "lone", "luse" and "laud" one on directory mappings.
const tokenSecret = "7d1e6a52-0c4b-4f1e-9a38-2b5c0e9f6d17"

func newProxmox(t *testing.T, release, name string, all map[string]capture) *proxmox {
	var nodes []string
	if strings.HasPrefix(name, "x3-") {
		nodes = []string{"pve1", "pve2", "pve3"}
	}
	s := pve.New(pve.Options{Release: release, Nodes: nodes, Storages: []pve.Storage{
		{ID: "imgonly", Type: "dir", Content: []string{"images"}}, {ID: "shr", Type: "dir", Content: []string{"images"}, Shared: true},
	}, Tokens: []pve.Token{
		{ID: "ci@noaudit!nopriv", Secret: tokenSecret},
		{ID: "ci@noaudit!nosys", Secret: tokenSecret, Roles: map[string]string{
			"/pool/ci": "CIRunnerVM", "/pool/ci-templates": "PVETemplateUser", "/storage/local-lvm": "CIRunnerDS",
			"/sdn/zones/localnetwork/vmbr0": "PVESDNUser",
		}},
		{ID: "ci@noaudit!options", Secret: tokenSecret, Roles: map[string]string{"/vms/201": "Options"}},
		{ID: "ci@noaudit!lmk", Secret: tokenSecret, Roles: map[string]string{"/mapping/dir": "Modify"}},
		{ID: "ci@noaudit!lone", Secret: tokenSecret, Roles: map[string]string{"/mapping/dir/mf-lease": "Modify"}},
		{ID: "ci@noaudit!luse", Secret: tokenSecret, Roles: map[string]string{"/mapping/dir/mf-lease": "Use"}},
		{ID: "ci@noaudit!laud", Secret: tokenSecret, Roles: map[string]string{"/mapping/dir/mf-lease": "Audit"}},
	}, Roles: []pve.Role{
		{Name: "Options", Privileges: []string{"VM.Config.Options"}},
		{Name: "Modify", Privileges: []string{"Mapping.Modify"}},
		{Name: "Use", Privileges: []string{"Mapping.Use"}},
		{Name: "Audit", Privileges: []string{"Mapping.Audit"}},
	}})
	return &proxmox{t: t, s: s, rt: s.RoundTripper(), all: all, as: "admin", path: onNode}
}

// mapper reports whether a token's name is one of those with a privilege on directory mappings.
func mapper(name string) bool { return slices.Contains([]string{"lmk", "lone", "luse", "laud"}, name) }

// reply is an answer of either.
type reply struct {
	status string
	body   []byte
}

// data is the reply's data as a text: a UPID, a VMID.
func (r reply) data() string {
	var v struct{ Data any }
	_ = json.Unmarshal(r.body, &v)
	s, _ := v.Data.(string)
	return s
}

func (r reply) field(name string) string {
	var v struct{ Data map[string]any }
	_ = json.Unmarshal(r.body, &v)
	return fmt.Sprint(v.Data[name])
}

var (
	vmInPath        = regexp.MustCompile(`/nodes/pve1/qemu/(\d+)`)
	containerInPath = regexp.MustCompile(`/nodes/pve1/lxc/(\d+)`)
)

// container are the parameters of one as the recordings have them.
const container = "ostemplate=local:vztmpl/debian-12-standard_12.12-1_amd64.tar.zst&rootfs=local-lvm:1&memory=128&hostname=ct1&tags=ci&" +
	"features=nesting%3D1&net0=name%3Deth0,bridge%3Dvmbr0,ip%3Ddhcp"

// prepare brings the cluster into the state that the capture was made in.
func (w *proxmox) prepare(c capture) {
	var steps []string
	for _, s := range situations {
		if s.name.MatchString(c.Name) {
			steps = strings.Split(s.steps, "; ")
			break
		}
	}
	is := map[string]bool{}
	for _, s := range steps {
		is[s] = true
	}
	if m := vmInPath.FindStringSubmatch(c.Path); len(m) > 1 && !strings.HasPrefix(m[1], "900") && !is["none"] &&
		!strings.Contains(c.Status, "Configuration file") && !strings.Contains(c.Status, "unable to find configuration") {
		w.wait(w.do("POST", "/nodes/pve1/qemu/9000/clone", "newid="+m[1], "pool=ci"))
		if is["run"] || strings.Contains(c.Path, "/agent/") && !is["off"] {
			w.wait(w.do("POST", "/nodes/pve1/qemu/"+m[1]+"/status/start"))
			time.Sleep(time.Minute)
		}
	}
	if m := containerInPath.FindStringSubmatch(onDisks(c.Path)); len(m) > 1 && !is["none"] && !strings.Contains(c.Status, "Configuration file") {
		w.wait(w.do("POST", "/nodes/pve1/lxc", container, "vmid="+m[1], "pool=ci", "start="+map[bool]string{true: "1", false: "0"}[is["run"]]))
	}
	if strings.HasPrefix(c.Name, "x2-") && strings.HasPrefix(c.Token, "ci@pve") {
		w.as = "fleet" // these were made with the least privileges
	}
	if user, name, _ := strings.Cut(c.Token, "!"); user == "ci@pve" && (name == "nopriv" || name == "nosys" || mapper(name)) {
		w.as = name
	}
	for _, s := range steps {
		if s != "" {
			w.step(s)
		}
	}
}

// step makes one step of a situation.
func (w *proxmox) step(s string) {
	words := strings.Split(s, " ")
	switch words[0] {
	case "run", "off", "none":
	case "begin":
		w.replaceUPID(w.do(words[1], words[2], words[3:]...).data())
		time.Sleep(time.Millisecond)
	case "as":
		w.first(words[1])
	case "instead":
		before := w.path
		w.path = func(p string) string { return strings.Replace(before(p), "/qemu/"+words[1], "/qemu/"+words[2], 1) }
	case "token":
		w.as = strings.TrimPrefix(s, "token ")
	case "later":
		time.Sleep(12 * time.Second)
	case "iso":
		w.upload(words[1])
	case "hold":
		w.fault(words[1], "locked", "hold", 0)
	case "slow":
		w.fault(words[1], "locked", "delay", 300)
	case "kill":
		w.fault(words[1], words[2], "kill", 0)
	case "lock", "move":
		w.byRoot(words[0], words[1], words[2])
	case "shared":
		w.wait(w.do("POST", "/nodes/"+words[1]+"/qemu", "vmid="+words[2], "scsi0=shr:1"))
		w.wait(w.do("POST", "/nodes/"+words[1]+"/qemu/"+words[2]+"/template"))
	case "unpool":
		w.do("PUT", "/pools", "poolid=ci-templates", "vms=9000", "delete=1")
	default:
		r := w.do(words[0], words[1], words[2:]...)
		w.replaceUPID(r.data())
		w.wait(r)
	}
}

// byRoot does to a VM what no token may.
func (w *proxmox) byRoot(what, vm, arg string) {
	w.t.Helper()
	vmid, err := strconv.Atoi(vm)
	if err != nil {
		w.t.Fatal(err)
	}
	if what == "lock" {
		err = w.s.SetLock(vmid, arg)
	} else {
		err = w.s.Migrate(vmid, arg)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

var (
	recordedUPID = regexp.MustCompile(`UPID(:|%3A)[^/?]*`)
	recordedPID  = regexp.MustCompile(`\bpid=\d+`)
)

// first makes another capture's request; what it started replaces what the recorded one started.
func (w *proxmox) first(name string) {
	r := w.ask(w.all[name], w.all[name].Path)
	if !strings.HasPrefix(r.status, "200") {
		w.t.Fatalf("prepare %s: %s %s", name, r.status, r.body)
	}
	time.Sleep(time.Millisecond) // its worker begins
	before := w.path
	w.path = func(p string) string { return recordedPID.ReplaceAllString(before(p), "pid="+r.field("pid")) }
	w.replaceUPID(r.data())
}

// replaceUPID puts a task of this run into the path where a recorded one is.
func (w *proxmox) replaceUPID(upid string) {
	if upid == "" {
		return
	}
	before := w.path
	w.path = func(p string) string { return recordedUPID.ReplaceAllString(before(p), url.PathEscape(upid)) }
}

func (w *proxmox) fault(task, at, kind string, ms int64) {
	if _, err := w.s.Fault(pve.FaultSpec{Match: pve.FaultMatch{Task: task, At: at}, Kind: kind, DelayMS: ms}); err != nil {
		w.t.Fatal(err)
	}
}

// ask sends a capture's request to a path.
func (w *proxmox) ask(c capture, path string) reply {
	w.t.Helper()
	var body io.Reader
	if text := onDisks(c.body()); text != "" {
		body = strings.NewReader(text)
	}
	req := w.request(c.Method, w.path(path), body)
	for k, v := range c.Header {
		if k == "Transfer-Encoding" {
			req.TransferEncoding = []string{v}
			req.ContentLength = -1
			continue
		}
		req.Header.Set(k, v)
	}
	return w.send(req, w.as)
}

func (w *proxmox) request(method, path string, body io.Reader) *http.Request {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "https://pve1:8006/api2/json"+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	return req
}

// send is exchange for requests that always get an answer.
func (w *proxmox) send(req *http.Request, as string) reply {
	w.t.Helper()
	r, err := w.exchange(req, as)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// exchange asks with a token: "admin", "fleet", "nosys", "nopriv", "-" for none, or a whole header's text.
func (w *proxmox) exchange(req *http.Request, as string) (reply, error) {
	info := w.s.Info()
	switch as {
	case "admin":
		as = "PVEAPIToken=" + info.AdminTokenID + "=" + info.AdminTokenSecret
	case "fleet":
		as = "PVEAPIToken=" + info.TokenID + "=" + info.TokenSecret
	case "nopriv", "nosys", "options", "lmk", "lone", "luse", "laud":
		as = "PVEAPIToken=ci@noaudit!" + as + "=" + tokenSecret
	}
	if as != "-" {
		req.Header.Set("Authorization", as)
	}
	resp, err := w.rt.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return reply{resp.Status, bytes.TrimSpace(raw)}, err
}

// do makes a request of the administrator's, which has to succeed.
func (w *proxmox) do(method, path string, params ...string) reply {
	w.t.Helper()
	form := strings.Join(params, "&")
	var req *http.Request
	if method == http.MethodGet || method == http.MethodDelete {
		req = w.request(method, path+"?"+form, http.NoBody)
	} else {
		req = w.request(method, path, strings.NewReader(form))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r := w.send(req, "admin")
	if !strings.HasPrefix(r.status, "200") {
		w.t.Fatalf("prepare %s %s: %s %s", method, path, r.status, r.body)
	}
	return r
}

// wait waits for a reply's task, in virtual time.
func (w *proxmox) wait(r reply) {
	w.t.Helper()
	upid := r.data()
	if !strings.HasPrefix(upid, "UPID:") {
		return
	}
	for range 1200 {
		if w.do("GET", "/nodes/"+strings.Split(upid, ":")[1]+"/tasks/"+upid+"/status").field("status") == "stopped" {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatalf("task %s does not end", upid)
}

// upload puts an ISO image on the storage local.
func (w *proxmox) upload(name string) {
	w.t.Helper()
	const line = "--x\r\nContent-Disposition: form-data; name="
	req := w.request(http.MethodPost, "/nodes/pve1/storage/local/upload", strings.NewReader(
		line+"\"content\"\r\n\r\niso\r\n"+line+"\"filename\"; filename=\""+name+"\"\r\n\r\nAAAA\r\n--x--\r\n"))
	req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	w.wait(w.send(req, "admin"))
}
