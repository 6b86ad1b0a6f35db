package contract_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// capture is one request made to a real Proxmox VE 9.2 and what it answered.
type capture struct {
	Name    string            `json:"name"`
	Token   string            `json:"token"` // "ci@pve!runner"; "" for none or one that isn't in the usual form
	Method  string            `json:"method"`
	Path    string            `json:"path"` // below /api2/json, with the query
	Header  map[string]string `json:"request_headers"`
	Request string            `json:"request_body"`
	Length  int               `json:"request_length"` // of the body, where only its beginning was kept
	Status  string            `json:"status"`         // code and reason phrase
	Body    string            `json:"body"`
}

// captures reads all of them, by name.
func captures(t *testing.T) map[string]capture {
	t.Helper()
	f, err := os.Open("testdata/proxmox-captures.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]capture{}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<21)
	for lines.Scan() {
		var c capture
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		all[c.Name] = c
	}
	if err := lines.Err(); err != nil || len(all) != 1252 {
		t.Fatalf("%d captures, %v; want 1252", len(all), err)
	}
	return all
}

// body is the request's, whole: of a long one that repeats a letter only the beginning was kept.
func (c capture) body() string {
	if n := c.Length - len(c.Request); n > 0 {
		return c.Request + strings.Repeat(c.Request[len(c.Request)-1:], n)
	}
	if strings.HasPrefix(c.Header["Content-Type"], "multipart/") && !strings.Contains(c.Request, "\r\n") {
		// The one byte of an image's header that isn't text was lost.
		return strings.NewReplacer("\n", "\r\n", "QFI\ufffd", "QFI\xfb").Replace(c.Request)
	}
	return c.Request
}

// schemaMethod is one method of the stand-in's schema file, as these tests read it.
type schemaMethod struct {
	Method     string
	Path       string
	Parameters struct{ Properties map[string]property }
}

// schemaFiles are the stand-in's schemas by release.
var schemaFiles = map[string]string{release84: "schema-8.4.json", release92: "schema.json"}

const (
	release84 = "8.4.5"
	release92 = "9.2.11" // of the captures
)

// schemaMethods reads a release's schema file, apart from the stand-in's own reader.
func schemaMethods(t *testing.T, release string) []schemaMethod {
	t.Helper()
	data, err := os.ReadFile("../../internal/sim/pve/data/" + schemaFiles[release])
	if err != nil {
		t.Fatal(err)
	}
	var all []schemaMethod
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

var placeholder = regexp.MustCompile(`\\\{(\w+)\\\}`)

// serves reports whether the capture is of this method.
func (m schemaMethod) serves(c capture) bool {
	path, _, _ := strings.Cut(c.Path, "?")
	pattern := placeholder.ReplaceAllString(regexp.QuoteMeta(m.Path), `[^/]+`)
	pattern = strings.Replace(pattern, "/content/[^/]+", "/content/.+", 1)
	return m.Method == c.Method && regexp.MustCompile("^"+pattern+"$").MatchString(path)
}
