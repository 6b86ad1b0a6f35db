package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"mayfly/internal/sim/pve"
)

// property is one parameter, as these tests read the schema: what its type and limits say, and no more of formats than
// the plain ones.
type property struct {
	Type      string
	Optional  json.RawMessage
	Format    json.RawMessage
	Pattern   string
	Enum      []string
	MinLength *int
	MaxLength *int
	Minimum   json.RawMessage
	Maximum   json.RawMessage
	Requires  string
}

// formats are what the named formats admit (pve-common: JSONSchema.pm), written down anew; values of other formats are
// only generated where every value is wrong.
var formats = map[string]*regexp.Regexp{
	"pve-node":       regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`),
	"pve-vmid":       regexp.MustCompile(`^[1-9][0-9]{2,8}$`),
	"pve-storage-id": regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_.-]*[a-zA-Z0-9]$`),
	"pve-poolid":     regexp.MustCompile(`^([A-Za-z0-9._-]+/){0,2}[A-Za-z0-9._-]+$`),
	"dns-name":       regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`),
	"pve-configid":   regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_-]+$`),
	"urlencoded":     regexp.MustCompile(`^[-%a-zA-Z0-9_.!~*'()]*$`),
}

func yes(raw json.RawMessage) bool {
	s := strings.Trim(string(raw), `"`)
	return s == "1" || s == "true"
}

// format is its name; known says whether these tests can judge a value.
func (p property) format() (name string, known bool) {
	if len(p.Format) == 0 {
		return "", true
	}
	if json.Unmarshal(p.Format, &name) != nil {
		return "{}", false
	}
	return name, formats[name] != nil
}

// admits judges a value by the schema alone.
func (p property) admits(v string) bool {
	switch p.Type {
	case "boolean":
		return v == "0" || v == "1"
	case "integer":
		if !regexp.MustCompile(`^[+-]?\d+$`).MatchString(v) {
			return false
		}
	case "number":
		if !regexp.MustCompile(`^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$`).MatchString(v) {
			return false
		}
	}
	if name, _ := p.format(); name != "" && !formats[name].MatchString(v) {
		return false
	}
	if p.Pattern != "" && !p.pattern().MatchString(v) {
		return false
	}
	n := utf8.RuneCountInString(v)
	if p.MaxLength != nil && n > *p.MaxLength || p.MinLength != nil && n < *p.MinLength {
		return false
	}
	if f, ok := new(big.Float).SetString(v); ok {
		if lo, ok := limit(p.Minimum); ok && f.Cmp(lo) < 0 {
			return false
		}
		if hi, ok := limit(p.Maximum); ok && f.Cmp(hi) > 0 {
			return false
		}
	}
	return len(p.Enum) == 0 || slices.Contains(p.Enum, v)
}

// pattern is Perl's, as Go writes it.
func (p property) pattern() *regexp.Regexp {
	text := strings.NewReplacer("(?^:", "(?:", "(?^i:", "(?i:", `\/`, "/").Replace(p.Pattern)
	return regexp.MustCompile("^(?:" + text + ")$")
}

func limit(raw json.RawMessage) (*big.Float, bool) {
	if len(raw) == 0 {
		return nil, false
	}
	return new(big.Float).SetString(strings.Trim(string(raw), `"`))
}

// value draws a value around what the property admits: from its words, at its limits, near its format, or nonsense.
func (p property) value(t *rapid.T) string {
	choices := []*rapid.Generator[string]{
		rapid.StringMatching(`[a-z0-9.,:/_ =-]{1,12}`),
		rapid.SampledFrom([]string{"0", "1", "true", "no", "-1", "+7", "1e3", "1.5", "100", "99", "abc", "a b", "ä", "0x10"}),
	}
	if len(p.Enum) > 0 {
		choices = append(choices, rapid.SampledFrom(p.Enum), rapid.SampledFrom(p.Enum))
	}
	for _, raw := range []json.RawMessage{p.Minimum, p.Maximum} {
		if n, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 64); err == nil {
			choices = append(choices, rapid.Map(rapid.Int64Range(-2, 2), func(d int64) string { return strconv.FormatInt(n+d, 10) }))
		}
	}
	if p.MaxLength != nil {
		choices = append(choices, rapid.Map(rapid.IntRange(-1, 1), func(d int) string { return strings.Repeat("x", *p.MaxLength+d) }))
	}
	if name, _ := p.format(); name != "" && formats[name] != nil {
		choices = append(choices, rapid.StringMatching(`[a-zA-Z][a-zA-Z0-9-]{0,6}[a-zA-Z0-9]`), rapid.StringMatching(`[1-9][0-9]{1,9}`), rapid.StringMatching(`[a-zA-Z0-9./_-]{1,10}`))
	}
	return rapid.OneOf(choices...).Draw(t, "value")
}

// TestParametersAgreeWithTheSchema gives each parameter of each method values that the schema admits and values that it
// doesn't, and compares what the stand-in says of that parameter with this file's own reading of the schema.
func TestParametersAgreeWithTheSchema(t *testing.T) {
	s := pve.New(pve.Options{Timing: pve.DemoTiming()})
	defer s.Close()
	judged := 0
	for _, m := range schemaMethods(t) {
		if strings.HasSuffix(m.Path, "/upload") {
			continue // its parameters come in a multipart body, which has tests of its own
		}
		names := slices.Sorted(maps.Keys(m.Parameters.Properties))
		var subject []string
		for _, name := range names {
			p := m.Parameters.Properties[name]
			if _, known := p.format(); known && p.Type != "array" && !strings.HasSuffix(name, "[n]") && !strings.Contains(m.Path, "{"+name+"}") {
				subject = append(subject, name)
			}
		}
		if len(subject) == 0 {
			continue
		}
		judged += len(subject)
		t.Run(m.Method+" "+m.Path, func(t *testing.T) {
			for _, name := range subject {
				rapid.Check(t, func(t *rapid.T) {
					checkParameter(t, s, m, name, m.Parameters.Properties[name].value(t))
				})
			}
		})
	}
	if judged < 200 {
		t.Errorf("only %d parameters are judged", judged)
	}
}

// askedBefore are parameters that privileges depend on, which are looked at before any parameter is verified.
var askedBefore = map[string]string{"newid": "950", "poolid": "ci"}

// checkParameter asks with one parameter, and one that no schema knows: that makes the request fail on its parameters,
// without effect, so that what is said of the other is the schema's word alone.
func checkParameter(t *rapid.T, s *pve.Server, m schemaMethod, name, value string) {
	const unknown = "no-such-parameter"
	form := url.Values{name: {value}, unknown: {"x"}}
	for k, v := range askedBefore {
		if _, has := m.Parameters.Properties[k]; has && k != name && !strings.Contains(m.Path, "{"+k+"}") {
			form.Set(k, v)
		}
	}
	path := strings.NewReplacer("{node}", "pve1", "{vmid}", "9000", "{storage}", "local", "{poolid}", "ci", "{volume}", "local:iso/x.iso",
		"{upid}", "UPID:pve1:00000001:00000001:5F000000:qmstart:101:ci@pve!runner:").Replace(m.Path)
	w := &proxmox{s: s, rt: s.RoundTripper()}
	status, body := w.parameters(t, m.Method, path, form)
	p := m.Parameters.Properties[name]
	var said struct{ Errors map[string]string }
	if err := json.Unmarshal(body, &said); err != nil || !strings.HasPrefix(status, "400") || said.Errors[unknown] == "" {
		if askedBefore[name] != "" && strings.HasPrefix(status, "403") && !p.admits(value) {
			return // no access path: refused before its parameters are read
		}
		t.Fatalf("%s %s %s=%q: %s %s", m.Method, path, name, value, status, body)
	}
	text, refused := said.Errors[name]
	if refused == p.admits(value) {
		t.Errorf("%s %s %s=%q: refused %v (%s), the schema admits it: %v", m.Method, m.Path, name, value, refused, text, p.admits(value))
	}
	for other, q := range m.Parameters.Properties {
		_, missing := said.Errors[other]
		given := form.Has(other) || strings.Contains(m.Path, "{"+other+"}")
		required := !yes(q.Optional) || p.Requires == other
		if !given && required != missing {
			t.Errorf("%s %s: %s missing %v, required %v", m.Method, m.Path, other, missing, required)
		}
	}
}

// parameters makes a request of the administrator's with a form, in the query of GET and DELETE.
func (w *proxmox) parameters(t *rapid.T, method, path string, form url.Values) (string, []byte) {
	target, text := "https://pve1:8006/api2/json"+path, form.Encode()
	var req *http.Request
	var err error
	if method == http.MethodGet || method == http.MethodDelete {
		req, err = http.NewRequestWithContext(t.Context(), method, target+"?"+text, http.NoBody)
	} else {
		req, err = http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(text))
	}
	if err != nil {
		t.Fatal(err)
	}
	if req.Body != http.NoBody {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r, err := w.exchange(req, "admin")
	if err != nil {
		t.Fatal(fmt.Errorf("%s %s: %w", method, path, err))
	}
	return r.status, r.body
}
