package secrets

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// evidence is what is seen while a life goes on: texts, each kept once.
type evidence struct {
	// planted says that the processes which the test of planted secrets starts count. It runs beside the others, and
	// what it plants is none of theirs.
	planted bool

	mu    sync.Mutex
	seen  map[text]bool
	texts []text
}

func (e *evidence) add(place, name, body string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := text{place, name, body}
	if e.seen == nil {
		e.seen = map[text]bool{}
	}
	if !e.seen[x] {
		e.seen[x] = true
		e.texts = append(e.texts, x)
	}
}

func (e *evidence) all() []text {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]text{}, e.texts...)
}

// processes reads the arguments and the environment of every process of this machine that may be read. The environment
// of the process that the user gave secrets to is left out.
func (e *evidence) processes(except int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		// Nothing of a process that has ended meanwhile or is somebody else's.
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		args, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if bytes.Contains(env, []byte(childRole+"=")) && !e.planted {
			continue
		}
		if len(args) > 0 {
			e.add(placeArgs, "process "+filepath.Base(dir), string(args))
		}
		if len(env) > 0 && pid != except {
			e.add(placeEnviron, "process "+filepath.Base(dir), string(env))
		}
	}
}

// health reads every page of the dispatcher.
func (e *evidence) health(web *http.Client, base string) {
	for _, page := range []string{"/healthz", "/readyz", "/status", "/config", "/metrics"} {
		resp, err := web.Get(base + page)
		if err != nil {
			continue // not yet there, or no longer
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		e.add(placeHealth, page, fmt.Sprint(resp.Header)+string(body))
	}
}

// configs takes what the VMs are now, and the notes and names that go with it.
func (e *evidence) configs(s *standIns) {
	for _, vm := range s.proxmoxState().VMs {
		for key, value := range vm.Config {
			e.add(placeConfigs, fmt.Sprintf("VM %d, %s", vm.VMID, key), value)
		}
	}
}

// tasks reads the log of every task there was.
func (e *evidence) tasks(s *standIns) {
	for _, task := range s.proxmoxState().Tasks {
		var lines []struct {
			T string `json:"t"`
		}
		node := strings.Split(task.UPID, ":")[1]
		s.admin(http.MethodGet, "/nodes/"+node+"/tasks/"+url.PathEscape(task.UPID)+"/log?limit=10000", nil, &lines)
		body := []string{task.UPID, task.ExitStatus}
		for _, l := range lines {
			body = append(body, l.T)
		}
		e.add(placeTasks, task.UPID, strings.Join(body, "\n"))
	}
}

// requests takes the addresses that the stand-ins saw, and what the taps heard being asked of Proxmox.
func (e *evidence) requests(s *standIns) {
	for _, r := range s.proxmoxState().Requests {
		e.add(placePaths, "Proxmox", r.Method+" "+r.Path)
	}
	for _, r := range s.githubState().Requests {
		e.add(placePaths, "GitHub", r.Method+" "+r.Path)
	}
	for _, x := range s.toPVE.exchanges() {
		body := asked(x.body)
		if head, _, uploaded := upload(x); uploaded {
			body = head
		}
		e.add(placeAsked, x.method+" "+x.uri, body)
	}
}

// upload splits an upload's body into what is said of the file and the file: an image is where an identity belongs.
func upload(x exchange) (head, image string, ok bool) {
	if !strings.HasSuffix(x.uri, "/upload") {
		return "", "", false
	}
	at := strings.Index(x.body, `name="filename"`)
	if at < 0 {
		return x.body, "", true
	}
	end := at + strings.Index(x.body[at:], "\r\n\r\n")
	return x.body[:end], x.body[end:], true
}

// stdin is what a guest's program gets on its standard input: where an identity belongs.
const stdin = "input-data"

// asked is a request's body without what goes to a guest's standard input.
func asked(body string) string {
	var fields map[string]any
	if json.Unmarshal([]byte(body), &fields) != nil {
		return body // a form: no call of the guest agent's
	}
	delete(fields, stdin)
	var b strings.Builder
	for key, value := range fields {
		fmt.Fprintf(&b, "%s=%v\n", key, value)
	}
	return b.String()
}

// given is what goes to a guest's standard input.
func given(body string) string {
	var fields map[string]any
	if json.Unmarshal([]byte(body), &fields) != nil {
		return ""
	}
	text, _ := fields[stdin].(string)
	return text
}

// files reads everything in a folder: names and contents.
func (e *evidence) files(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		body := path + "\n"
		if entry.Type().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			body += string(content)
		}
		e.add(placeFiles, path, body)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
