package proxmox_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

var update = flag.Bool("update", false, "write the golden files anew")

// recording is one request that was made to a real Proxmox VE, and its answer's exact bytes.
type recording struct {
	Name   string `json:"name"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Body   string `json:"body"`
	Type   string `json:"type"`
	Reply  string `json:"reply"`
}

func recordings(t *testing.T) []recording {
	t.Helper()
	f, err := os.Open("testdata/recorded.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var list []recording
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r recording
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	if err := lines.Err(); err != nil || len(list) != 1098 {
		t.Fatalf("%d recordings, %v; want 1098", len(list), err)
	}
	return list
}

// status and body as an http client reads them, apart from the one under test.
func (r recording) parse(t *testing.T) (code int, reason string, body []byte) {
	t.Helper()
	head, rest, _ := strings.Cut(r.Reply, "\r\n\r\n")
	line, _, _ := strings.Cut(head, "\r\n")
	parts := strings.SplitN(line, " ", 3)
	code, err := strconv.Atoi(parts[1])
	if err != nil {
		t.Fatalf("%s: status line %q", r.Name, line)
	}
	return code, parts[2], []byte(rest)
}

var recordedPath = regexp.MustCompile(`^/nodes/([^/]+)/(qemu|tasks|storage)(?:/([^/?]+))?(?:/([a-z-]+(?:/[a-z-]+)?))?$`)

// play makes the call that a recording is of and returns what it gave.
func (r recording) play(ctx context.Context, t *testing.T, c *proxmox.Client) (any, error) {
	t.Helper()
	path, query, _ := strings.Cut(r.Path, "?")
	params, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	switch path {
	case "/version":
		return c.Version(ctx)
	case "/cluster/resources":
		return c.Resources(ctx)
	case "/cluster/nextid":
		if !params.Has("vmid") {
			return c.NextID(ctx)
		}
		id, _ := strconv.Atoi(params.Get("vmid"))
		return c.VMIDFree(ctx, id)
	case "/nodes":
		return c.Nodes(ctx)
	case "/cluster/options":
		return c.AllowedTags(ctx)
	case "/access/permissions":
		return c.Permissions(ctx)
	case "/pools":
		return c.ResourcePool(ctx, params.Get("poolid"))
	}
	if m := storagePath.FindStringSubmatch(path); m != nil {
		return r.playStorage(ctx, t, c, m[1], m[2], m[3], params.Get("content"))
	}
	if m := containerPath.FindStringSubmatch(path); m != nil {
		return r.playContainer(ctx, t, c, m[1], m[2], m[3])
	}
	m := recordedPath.FindStringSubmatch(path)
	if m == nil {
		t.Fatalf("%s: nothing plays %s %s", r.Name, r.Method, r.Path)
	}
	node, id := m[1], m[3]
	switch m[2] + " " + m[4] {
	case "storage ":
		return c.Storages(ctx, node)
	case "tasks ":
		if id == "" {
			limit, _ := strconv.Atoi(params.Get("limit"))
			return c.Tasks(ctx, node, proxmox.TaskFilter{Source: params.Get("source"), Type: params.Get("typefilter"), Limit: limit})
		}
		return nil, c.StopTask(ctx, unescape(t, id))
	case "tasks status":
		return c.TaskStatus(ctx, unescape(t, id))
	case "tasks log":
		return c.TaskLog(ctx, unescape(t, id), 0, 0)
	}
	if id == "" {
		if r.Method == http.MethodPost {
			return c.CreateVM(ctx, node, proxmox.NewVM{VMID: 101, Pool: r.form(t).Get("pool")})
		}
		return c.NodeVMs(ctx, node)
	}
	vmid, err := strconv.Atoi(id)
	if err != nil {
		t.Fatal(err)
	}
	form := r.form(t)
	switch r.Method + " " + m[4] {
	case "GET config":
		return c.VMConfig(ctx, node, vmid)
	case "PUT config":
		set := map[string]string{}
		for key := range form {
			if key != "digest" && key != "delete" {
				set[key] = form.Get(key)
			}
		}
		return nil, c.SetConfig(ctx, node, vmid, set, form["delete"], form.Get("digest"))
	case "GET status/current":
		return c.VMStatus(ctx, node, vmid)
	case "POST clone":
		newID, _ := strconv.Atoi(form.Get("newid"))
		return c.Clone(ctx, node, vmid, proxmox.CloneOptions{
			NewID: newID, Name: form.Get("name"), Description: form.Get("description"), Pool: form.Get("pool"),
			Target: form.Get("target"), Storage: form.Get("storage"), Full: form.Get("full") == "1",
		})
	case "POST template":
		return c.MakeTemplate(ctx, node, vmid)
	case "PUT resize":
		return c.Resize(ctx, node, vmid, form.Get("disk"), runner.GiB)
	case "POST status/start":
		return c.Start(ctx, node, vmid)
	case "POST status/stop":
		return c.Stop(ctx, node, vmid)
	case "POST status/shutdown":
		return c.Shutdown(ctx, node, vmid, 0)
	case "DELETE ":
		return c.Delete(ctx, node, vmid)
	case "POST agent/ping":
		return nil, c.AgentPing(ctx, node, vmid)
	case "POST agent/exec":
		command := form["command"]
		if len(command) == 0 {
			command = []string{"/bin/true"}
		}
		return c.AgentExec(ctx, node, vmid, command, []byte(form.Get("input-data")))
	case "GET agent/exec-status":
		pid, _ := strconv.Atoi(params.Get("pid"))
		return c.AgentExecStatus(ctx, node, vmid, pid)
	case "GET agent/file-read":
		return c.AgentFileRead(ctx, node, vmid, params.Get("file"))
	}
	t.Fatalf("%s: nothing plays %s %s", r.Name, r.Method, r.Path)
	return nil, nil
}

var storagePath = regexp.MustCompile(`^/nodes/([^/]+)/storage/([^/]+)/(?:content/?|upload)(.*)$`)

// playStorage makes a call that a recording of a storage is of. What was uploaded isn't in the recordings.
func (r recording) playStorage(ctx context.Context, t *testing.T, c *proxmox.Client, node, storage, volume, content string) (any, error) {
	switch r.Method {
	case http.MethodGet:
		return c.Volumes(ctx, node, storage, content)
	case http.MethodDelete:
		return c.DeleteVolume(ctx, node, volume)
	}
	form := r.form(t)
	return c.Upload(ctx, node, proxmox.Upload{
		Storage: storage, Content: form.Get("content"), Name: form.Get("filename"), Body: strings.NewReader("x"), Size: 1,
	})
}

// unescape gives a recorded path's UPID; what isn't one is asked for under a valid name, the reply being the point.
func unescape(t *testing.T, s string) proxmox.UPID {
	t.Helper()
	s, err := url.PathUnescape(s)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := proxmox.ParseUPID(s); err == nil {
		return u
	}
	return upid
}

func (r recording) form(t *testing.T) url.Values {
	t.Helper()
	if !strings.HasPrefix(r.Type, "application/json") {
		form, err := url.ParseQuery(r.Body)
		if err != nil {
			return url.Values{"description": {r.Body}}
		}
		return form
	}
	form := url.Values{}
	var body map[string]any
	if json.Unmarshal([]byte(r.Body), &body) != nil {
		return form
	}
	for key, value := range body {
		if list, ok := value.([]any); ok {
			for _, v := range list {
				form.Add(key, fmt.Sprint(v))
			}
			continue
		}
		form.Set(key, fmt.Sprint(value))
	}
	return form
}

// TestEveryRecordedReplyIsUnderstood plays each recorded reply to the client and checks what follows from the status
// line alone, what Proxmox said, and against the golden table the whole error.
func TestEveryRecordedReplyIsUnderstood(t *testing.T) {
	var current recording
	w := newWire(t, false, func(request) []byte { return []byte(current.Reply) })
	c := newClient(t, nil, w.URL)
	var table strings.Builder
	for _, r := range recordings(t) {
		current = r
		before := len(w.requests())
		value, err := r.play(t.Context(), t, c)
		requests := w.requests()[before:]
		checkRequest(t, r, requests)
		kind := "-"
		var e *proxmox.Error
		if errors.As(err, &e) {
			kind = e.Kind.Error()
		}
		checkKind(t, r, value, err)
		what := ""
		if err != nil {
			what = err.Error()
			if strings.Contains(what, planted) {
				t.Errorf("%s: the secret shows in %q", r.Name, what)
			}
			what = strings.ReplaceAll(what, strings.TrimPrefix(w.URL, "http://"), "HOST")
		}
		fmt.Fprintf(&table, "%s\t%s\t%s\n", r.Name, kind, what)
	}
	golden(t, "testdata/recorded.golden", table.String())
}

// checkRequest: the path is the recorded one, and a change was sent once, whatever came back.
func checkRequest(t *testing.T, r recording, sent []request) {
	t.Helper()
	if len(sent) == 0 || r.Method != http.MethodGet && len(sent) != 1 {
		t.Errorf("%s: %s was sent %d times", r.Name, r.Method, len(sent))
		return
	}
	path, _, _ := strings.Cut(r.Path, "?")
	got, _, _ := strings.Cut(sent[0].URI, "?")
	if strings.Contains(path, "UPID") || strings.Contains(path, "/tasks/") {
		path, got = "", "/api2/json" // both forms of escaping are recorded
	}
	if got != "/api2/json"+path || sent[0].Method != r.Method {
		t.Errorf("%s: sent %s %s", r.Name, sent[0].Method, sent[0].URI)
	}
}

// checkKind derives from the status line what the error must be, without the client's own tables.
func checkKind(t *testing.T, r recording, value any, err error) {
	t.Helper()
	reads := r.Method == http.MethodGet || strings.HasSuffix(r.Path, "/agent/ping")
	lost := proxmox.MaybeHappened
	if reads {
		lost = proxmox.Unavailable
	}
	if r.Reply == "" {
		if !errors.Is(err, lost) {
			t.Errorf("%s: no reply gives %v, want %v", r.Name, err, lost)
		}
		return
	}
	code, reason, body := r.parse(t)
	if code == http.StatusOK {
		if bytes.HasSuffix(body, []byte("}")) && json.Valid(body) {
			if err != nil {
				t.Errorf("%s: %v", r.Name, err)
			}
		} else if !errors.Is(err, lost) {
			t.Errorf("%s: a reply cut short gives %v, want %v", r.Name, err, lost)
		}
		return
	}
	if free, ok := value.(bool); ok && err == nil && !free {
		return // "VM 101 already exists" is an answer, not an error
	}
	var e *proxmox.Error
	if !errors.As(err, &e) || e.Status != code {
		t.Errorf("%s: %d gives %#v", r.Name, code, err)
		return
	}
	allowed := map[int][]proxmox.Kind{
		301: {proxmox.Unavailable}, 400: {proxmox.BadParameter, proxmox.NotFound}, 401: {proxmox.Unauthorized},
		403: {proxmox.Permission}, 501: {proxmox.BadParameter}, 506: {proxmox.BadParameter},
		595: {proxmox.Unavailable}, 596: {lost},
	}[code]
	if allowed != nil && !slices.Contains(allowed, e.Kind) {
		t.Errorf("%s: %d is %v, want %v", r.Name, code, e.Kind, allowed)
	}
	if e.Kind == proxmox.MaybeHappened && reads {
		t.Errorf("%s: a read may have happened", r.Name)
	}
	var said struct {
		Message string
		Errors  map[string]string
	}
	want := reason
	if json.Unmarshal(body, &said) == nil && said.Message != "" {
		want = strings.Join(strings.Fields(said.Message), " ")
	}
	if !strings.HasPrefix(e.Message, want) || strings.Contains(e.Message, "\n") {
		t.Errorf("%s: message %q, want %q", r.Name, e.Message, want)
	}
	if len(said.Errors)+len(e.Fields) > 0 && len(said.Errors) != len(e.Fields) {
		t.Errorf("%s: fields %v, want %v", r.Name, e.Fields, said.Errors)
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
