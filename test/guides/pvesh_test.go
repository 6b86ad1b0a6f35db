package guides

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var pveshForm = regexp.MustCompile("`?(pvesh (?:create|set|get|delete) [^`\n]+)")

// TestProxmoxHasEveryCallOfTheGuides looks up each pvesh command with its options in what Proxmox VE 8.4 and 9.2 say of their API.
func TestProxmoxHasEveryCallOfTheGuides(t *testing.T) {
	var known map[string]map[string][]string // parameters by verb and path, by release
	if err := json.Unmarshal([]byte(guide(t, "test/guides/testdata/proxmox-calls.json")), &known); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, name := range guides(t) {
		for _, m := range pveshForm.FindAllStringSubmatch(strings.ReplaceAll(guide(t, name), "\\\n", " "), -1) {
			w := words(m[1])
			call := ""
			for c := range known {
				if verb, pattern, _ := strings.Cut(c, " "); verb == w[1] && pathMatches(pattern, w[2]) {
					call = c
				}
			}
			if call == "" {
				t.Errorf("%s: %q: no such call is known; add it to test/guides/testdata/proxmox-calls.json", name, m[1])
				continue
			}
			for _, arg := range w[3:] {
				option, isOne := strings.CutPrefix(arg, "--")
				if !isOne || option == "output-format" {
					continue
				}
				for release, parameters := range known[call] {
					if !slices.Contains(parameters, option) {
						t.Errorf("%s: %q: Proxmox VE %s has no parameter %s there", name, m[1], release, option)
					}
				}
				checked++
			}
		}
	}
	if checked < 20 {
		t.Errorf("checked %d options, want 20 at least", checked)
	}
}

// pathMatches reports whether a path is of the pattern: /nodes/{node}/status.
func pathMatches(pattern, path string) bool {
	p, q := strings.Split(pattern, "/"), strings.Split(path, "/")
	return slices.EqualFunc(p, q, func(a, b string) bool { return a == b || strings.HasPrefix(a, "{") && b != "" })
}
