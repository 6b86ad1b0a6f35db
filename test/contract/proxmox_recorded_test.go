package contract_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// TestProxmoxAnswersAsRecorded asks the stand-in what was asked of Proxmox VE 9.2, in the state that it was asked in,
// and compares the status, the reason phrase and the JSON's form.
func TestProxmoxAnswersAsRecorded(t *testing.T) {
	all, methods := captures(t), schemaMethods(t, release92)
	compared, recorded := map[string]int{}, map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c := all[name]
		method := ""
		for _, m := range methods {
			if m.serves(c) {
				method = m.Method + " " + m.Path
				break
			}
		}
		recorded[method]++
		if reason := leftOut(c); reason != "" {
			continue
		}
		compared[method]++
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { compare(t, c, all) })
		})
	}
	total := 0
	for method, n := range recorded {
		total += compared[method]
		if compared[method] == 0 {
			t.Errorf("%s: none of %d captures is compared", method, n)
		}
	}
	checkTables(t, all)
	t.Logf("%d of %d captures compared", total, len(all))
}

// checkTables finds entries that no capture needs: a name that was mistyped hides nothing.
func checkTables(t *testing.T, all map[string]capture) {
	t.Helper()
	needed := func(re *regexp.Regexp) bool {
		for name := range all {
			if re.MatchString(name) {
				return true
			}
		}
		return false
	}
	for _, s := range situations {
		if !needed(s.name) {
			t.Errorf("situation %s is no capture's", s.name)
		}
	}
	for _, l := range left {
		if !needed(l.name) {
			t.Errorf("%s is left out and was never captured", l.name)
		}
	}
}

// compare prepares a cluster for one capture and asks.
func compare(t *testing.T, c capture, all map[string]capture) {
	w := newProxmox(t, release92, c.Name, all)
	defer w.s.Close()
	base, what, ofTask := taskCapture(c.Name)
	var got reply
	if _, there := all[base]; ofTask && there {
		w.prepare(all[base])
		first := w.ask(all[base], all[base].Path)
		if !strings.HasPrefix(first.data(), "UPID:") {
			t.Fatalf("%s gave no task: %s %s", base, first.status, first.body)
		}
		w.wait(first)
		got = w.do(http.MethodGet, "/nodes/"+strings.Split(first.data(), ":")[1]+"/tasks/"+first.data()+"/"+what)
	} else {
		w.prepare(c)
		got = w.ask(c, c.Path)
	}
	want := reply{status: c.Status, body: bytes.TrimSpace([]byte(c.Body))}
	if exact(want.status) != exact(got.status) {
		t.Fatalf("answered %q, recorded %q", exact(got.status), exact(want.status))
	}
	var a, b any
	if json.Unmarshal(want.body, &a) != nil {
		if c.Header["Accept-Encoding"] == "" && exact(string(want.body)) != exact(string(got.body)) {
			t.Errorf("body %q, recorded %q", got.body, want.body)
		}
		return
	}
	if err := json.Unmarshal(got.body, &b); err != nil {
		t.Fatalf("body %q: %v", got.body, err)
	}
	for _, d := range differences("", shapeOf(a), shapeOf(b), loose(c)) {
		t.Error(d)
	}
	if !strings.HasPrefix(c.Status, "200") {
		sameRefusal(t, want, got)
	}
	if what == "status" {
		if g, w := got.field("exitstatus"), want.field("exitstatus"); exact(g) != exact(w) {
			t.Errorf("exit status %q, recorded %q", g, w)
		}
	}
}

// sameRefusal compares a refusal's texts too, field by field.
func sameRefusal(t *testing.T, want, got reply) {
	t.Helper()
	var a, b struct {
		Message string
		Errors  map[string]string
	}
	if json.Unmarshal(want.body, &a) != nil || json.Unmarshal(got.body, &b) != nil {
		return
	}
	if exact(a.Message) != exact(b.Message) {
		t.Errorf("message %q, recorded %q", b.Message, a.Message)
	}
	for field, text := range a.Errors {
		if exact(b.Errors[field]) != exact(text) {
			t.Errorf("%s: %q, recorded %q", field, b.Errors[field], text)
		}
	}
}

var volatile = []struct {
	form *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`UPID:[^'" ]*`), "UPID"},
	{regexp.MustCompile(`\.conf\.tmp\.\d+`), ".conf.tmp.N"},
	{regexp.MustCompile(`at character offset \d+`), "at character offset N"},
	{regexp.MustCompile(`((local(-lvm)?|shr):)?(\d+/base-\d+-disk-\d+\.qcow2/)?(\d+/)?(base|vm)-\d+-disk-\d+(\.qcow2)?`), "DISK"},
	{regexp.MustCompile(`non-shared storage 'local(-lvm)?'`), "non-shared storage DISKS"},
	{regexp.MustCompile(`create CT \d+`), "create CT N"},
	{regexp.MustCompile(`contains VM \d+`), "contains VM N"},
	{regexp.MustCompile(`VM \d+ is running`), "VM N is running"},
	{regexp.MustCompile(`lock-\d+\.conf`), "lock-N.conf"},
	{regexp.MustCompile(`got '[0-9a-f]{64}'`), "got SUM"},
}

// exact is a text without what is another each time.
func exact(s string) string {
	for _, v := range volatile {
		s = v.form.ReplaceAllString(s, v.as)
	}
	return s
}

// taskCapture tells the captures of a task's status and log from those of the request that started it.
func taskCapture(name string) (base, what string, ok bool) {
	if base, ok = strings.CutSuffix(name, "-taskstatus"); ok {
		return base, "status", true
	}
	base, ok = strings.CutSuffix(name, "-tasklog")
	return base, "log", ok
}
