package contract_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// stray is in no method's schema. A request with it is refused, so nothing is done, and the refusal names all that is
// wrong with the other parameters.
const stray = "nosuchparameter"

// pathValues are right values for what stands in paths.
var pathValues = map[string]string{
	"node": "pve1", "vmid": "9000", "storage": "local", "volume": "local:iso/x.iso", "poolid": "ci", "id": "mf-lease",
	"upid": "UPID:pve1:0000043A:008ED280:386D4380:qmstart:251:admin@pve!sim:",
}

// unsendable are parameters that clients can't send, by method.
var unsendable = map[string]string{
	"POST /nodes/{node}/storage/{storage}/upload": "tmpfilename", // the server names it itself
}

// TestParametersAgreeWithTheSchema draws values for every parameter of every method that the stand-in serves, reads
// Proxmox's schema for what has to be said of each, and asks.
func TestParametersAgreeWithTheSchema(t *testing.T) {
	for release := range schemaFiles {
		t.Run(release, func(t *testing.T) { parametersAgree(t, release) })
	}
}

func parametersAgree(t *testing.T, release string) {
	w := newProxmox(t, release, "", nil)
	defer w.s.Close()
	read, all := 0, 0
	for _, m := range schemaMethods(t, release) {
		drawn := m.drawn()
		read, all = read+len(drawn), all+len(m.Parameters.Properties)
		if _, there := m.Parameters.Properties["node"]; there {
			all--
		}
		t.Run(m.Method+" "+strings.ReplaceAll(strings.TrimPrefix(m.Path, "/"), "/", "."), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { m.try(t, w, drawn) })
		})
	}
	if read*10 < all*8 {
		t.Errorf("%d of %d parameters are tried; want four of five", read, all)
	}
}

// drawn are the parameters whose values can be drawn, by name; of numbered options one is.
func (m schemaMethod) drawn() map[string]*rapid.Generator[value] {
	drawn := map[string]*rapid.Generator[value]{}
	for name, p := range m.Parameters.Properties {
		if name == "node" || unsendable[m.Method+" "+m.Path] == name {
			continue // a node that there isn't is refused before its parameters are looked at
		}
		if g, ok := values(p); ok {
			if m.inPath(name) || name == "filename" {
				g = g.Filter(func(v value) bool { return pathForm.MatchString(v.text) })
			}
			drawn[strings.Replace(name, "[n]", "2", 1)] = g
		}
	}
	return drawn
}

// pathForm is what of a value may stand in a path in this test, so that it stays one segment of it.
var pathForm = re(`[A-Za-z0-9_:@!~.-]*[A-Za-z0-9_:@!~-]`)

func (m schemaMethod) inPath(name string) bool { return strings.Contains(m.Path, "{"+name+"}") }

var aclForm = regexp.MustCompile(`^[A-Za-z0-9._/-]*$`)

// try makes one request with some of the parameters.
func (m schemaMethod) try(t *rapid.T, w *proxmox, drawn map[string]*rapid.Generator[value]) {
	given, params := map[string]value{}, url.Values{}
	path := m.Path
	for _, name := range slices.Sorted(maps.Keys(drawn)) {
		if m.inPath(name) || rapid.Bool().Draw(t, "with "+name) {
			given[name] = drawn[name].Draw(t, name)
			params.Set(name, given[name].text)
		}
	}
	for name, usual := range pathValues {
		if v, there := given[name]; there && m.inPath(name) {
			usual = v.text
			params.Del(name)
		}
		path = strings.ReplaceAll(path, "{"+name+"}", url.PathEscape(usual))
	}
	code, said := m.send(t, w, path, params)
	if code == http.StatusForbidden {
		for _, v := range given {
			if !aclForm.MatchString(v.text) {
				return // in no path of the access control, so that nobody may
			}
		}
	}
	uploads := strings.HasSuffix(m.Path, "/upload")
	if !uploads && (code != http.StatusBadRequest || said[stray] != unknown+"\n" && said[stray] != unknown) {
		t.Fatalf("%s %s with an unknown parameter: %d %v", m.Method, path, code, said)
	}
	for name, v := range given {
		if v.says == "" && ofSchema(said[name]) || v.says != "" && !strings.Contains(said[name], v.says) {
			t.Errorf("%s=%q is answered %q, the schema says %q", name, v.text, said[name], v.says)
		}
	}
	for name, p := range m.Parameters.Properties {
		if _, there := given[name]; there || m.inPath(name) || uploads && name == "filename" {
			continue
		}
		switch want := m.absent(name, p, given); {
		case want == "" && said[name] != "", !strings.HasPrefix(said[name], want):
			t.Errorf("without %s: answered %q, the schema says %q", name, said[name], want)
		}
	}
}

// absent is what Proxmox has to say of a parameter that wasn't given.
func (m schemaMethod) absent(name string, p property, given map[string]value) string {
	if !p.optional() {
		return missing
	}
	for other := range given {
		if m.Parameters.Properties[other].Requires == name {
			return needsOther
		}
	}
	return ""
}

func ofSchema(text string) bool {
	return slices.ContainsFunc(schemaTexts, func(s string) bool { return strings.Contains(text, s) })
}

// send asks and returns what is said of each parameter.
func (m schemaMethod) send(t *rapid.T, w *proxmox, path string, params url.Values) (code int, said map[string]string) {
	var body, ctype string
	switch {
	case strings.HasSuffix(m.Path, "/upload"):
		body, ctype = multipartOf(params), "multipart/form-data; boundary=x"
	case m.Method == http.MethodPost || m.Method == http.MethodPut:
		params.Set(stray, "1")
		body, ctype = params.Encode(), "application/x-www-form-urlencoded"
		if rapid.Bool().Draw(t, "as JSON") {
			body, ctype = jsonOf(params), "application/json"
		}
	default:
		params.Set(stray, "1")
		path += "?" + params.Encode()
	}
	req := w.request(m.Method, path, strings.NewReader(body))
	if ctype != "" {
		req.Header.Set("Content-Type", ctype)
	}
	r, err := w.exchange(req, "admin")
	if err != nil {
		t.Fatal(err)
	}
	var refusal struct{ Errors map[string]string }
	if err := json.Unmarshal(r.body, &refusal); err != nil && strings.HasPrefix(r.status, "400") {
		t.Fatalf("%s: %s %v", r.status, r.body, err)
	}
	digits, _, _ := strings.Cut(r.status, " ")
	if code, err = strconv.Atoi(digits); err != nil {
		t.Fatalf("status %q", r.status)
	}
	return code, refusal.Errors
}

// jsonOf is a body with every value as a string, which says the same as a form.
func jsonOf(params url.Values) string {
	object := map[string]string{}
	for name := range params {
		object[name] = params.Get(name)
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic(err) // strings only
	}
	return string(text)
}

// multipartOf is the body of an upload.
func multipartOf(params url.Values) string {
	const line = "--x\r\nContent-Disposition: form-data; name="
	var b strings.Builder
	for name := range params {
		if name != "filename" {
			b.WriteString(line + "\"" + name + "\"\r\n\r\n" + params.Get(name) + "\r\n")
		}
	}
	file := params.Get("filename")
	if file == "" {
		file = "x.iso"
	}
	b.WriteString(line + "\"filename\"; filename=\"" + file + "\"\r\n\r\nAAAA\r\n--x--\r\n")
	return b.String()
}
