package contract_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// readings are the calls whose entries are compared with all that were recorded; %s is a task.
var readings = []string{
	"/cluster/resources", "/cluster/status", "/cluster/tasks", "/nodes", "/nodes/pve1/status", "/nodes/pve1/qemu?full=1",
	"/nodes/pve1/qemu/101/status/current", "/nodes/pve1/qemu/102/status/current", "/nodes/pve1/qemu/101/pending",
	"/nodes/pve1/storage", "/nodes/pve1/storage/local/content", "/nodes/pve1/storage/local/status", "/nodes/pve1/tasks",
	"/nodes/pve1/tasks?source=active", "/nodes/pve1/tasks/%s/status", "/nodes/pve1/tasks/%s/log", "/pools", "/version",
}

// followsConfig are fields that an entry has or hasn't by a VM's configuration or a list's parameters.
var followsConfig = []string{
	"tags", "pool", "lock", "template", "serial", "nics", "agent", "clipboard", "comment", "members", "tokenid", "saved", "pending", "value",
}

// entryFields are what is known of one kind of entry: in how many it was, and for each field in how many, of which form.
type entryFields struct {
	seen  int
	count map[string]int
	forms map[string]map[string]bool
}

// TestEntriesHaveTheFieldsThatWereRecorded reads the same lists and states from the stand-in: an entry has every field
// that all recorded ones of its kind have, none that no recorded one has, and each in a recorded form. So what a single
// capture leaves open, as it depends on the VMs at hand, is held to all captures.
func TestEntriesHaveTheFieldsThatWereRecorded(t *testing.T) {
	all := captures(t)
	known := map[string]*entryFields{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if c := all[name]; c.Method == http.MethodGet && strings.HasPrefix(c.Status, "200") && seesAll(c) {
			for _, e := range entries([]byte(c.Body)) {
				learn(known, entryKind(c.Path, e), e)
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := newProxmox(t, release92, "", all)
		defer w.s.Close()
		w.wait(w.do("POST", "/nodes/pve1/qemu/9000/clone", "newid=101", "pool=ci"))
		w.wait(w.do("POST", "/nodes/pve1/qemu/9000/clone", "newid=102", "pool=ci"))
		w.wait(w.do("POST", "/nodes/pve1/qemu/101/status/start"))
		w.upload("seed-101.iso")
		time.Sleep(time.Minute)
		task := w.do("POST", "/nodes/pve1/qemu/9000/clone", "newid=103", "full=1").data()
		met := map[string]bool{}
		for _, path := range readings {
			if strings.Contains(path, "%s") {
				path = fmt.Sprintf(path, task)
			}
			path, query, _ := strings.Cut(path, "?")
			some := false
			for _, e := range entries(w.do(http.MethodGet, path, query).body) {
				kind := entryKind(path, e)
				k := known[kind]
				if k == nil {
					continue // of a type of node, storage or task that wasn't recorded
				}
				met[kind], some = true, true
				k.judge(t, kind, e)
			}
			if !some {
				t.Errorf("%s: none of its entries is of a recorded kind", path)
			}
		}
		w.wait(reply{body: fmt.Appendf(nil, `{"data":%q}`, task)})
		for _, e := range entries(w.do(http.MethodGet, "/nodes/pve1/tasks/"+task+"/status").body) {
			kind := entryKind("/nodes/pve1/tasks/x/status", e)
			known[kind].judge(t, kind, e)
		}
		for kind := range known {
			if strings.HasPrefix(kind, "/cluster/resources") && !met[kind] && !strings.HasSuffix(kind, "offline") && !strings.HasSuffix(kind, "unknown") {
				t.Errorf("%s: the stand-in shows none of these", kind)
			}
		}
	})
}

// seesAll reports whether a capture was made with every privilege, so that no field was left out for want of one.
func seesAll(c capture) bool {
	return c.Token == "root@pam!root" || c.Token == "wide@pve!adm" ||
		c.Token == "ci@pve!runner" && !strings.HasPrefix(c.Name, "x") && !strings.HasPrefix(c.Name, "poolscoped")
}

// entries are a reply's object, or the objects in its list.
func entries(body []byte) []map[string]any {
	var v struct{ Data any }
	_ = json.Unmarshal(body, &v) // what is no JSON has no entries
	list, isList := v.Data.([]any)
	if !isList {
		list = []any{v.Data}
	}
	var out []map[string]any
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

var idsInPath = regexp.MustCompile(`/(nodes|qemu|tasks|storage)/[^/]+`)

// entryKind names what entries have the same fields: those of one call, of one type and in one state.
func entryKind(path string, e map[string]any) string {
	path, _, _ = strings.Cut(path, "?")
	kind := idsInPath.ReplaceAllString(path, "/$1/*")
	if _, isTask := e["upid"]; isTask {
		_, ended := e["endtime"]
		return fmt.Sprint(kind, " ended=", ended, " exited=", e["exitstatus"] != nil)
	}
	for _, field := range []string{"type", "status"} {
		if field == "type" && strings.Contains(kind, "/storage/") || strings.HasSuffix(kind, "/storage") {
			continue // storages of all types have the same fields
		}
		if v, there := e[field]; there {
			kind += fmt.Sprint(" ", v)
		}
	}
	return kind
}

func learn(known map[string]*entryFields, kind string, e map[string]any) {
	k := known[kind]
	if k == nil {
		k = &entryFields{count: map[string]int{}, forms: map[string]map[string]bool{}}
		known[kind] = k
	}
	k.seen++
	for field, v := range e {
		k.count[field]++
		if k.forms[field] == nil {
			k.forms[field] = map[string]bool{}
		}
		k.forms[field][shapeOf(v).kind] = true
	}
}

func (k *entryFields) judge(t *testing.T, kind string, e map[string]any) {
	t.Helper()
	for field, v := range e {
		switch forms := k.forms[field]; {
		case forms == nil && !slices.Contains(followsConfig, field):
			t.Errorf("%s: %s=%v was in none of %d recorded", kind, field, v, k.seen)
		case forms != nil && !forms[shapeOf(v).kind]:
			t.Errorf("%s: %s=%v is %s, recorded %v", kind, field, v, shapeOf(v).kind, slices.Sorted(maps.Keys(forms)))
		}
	}
	for field, n := range k.count {
		if _, there := e[field]; !there && n == k.seen && !slices.Contains(followsConfig, field) {
			t.Errorf("%s: %s is missing, which all of %d recorded have", kind, field, n)
		}
	}
}
