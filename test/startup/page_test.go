//go:build bench

package startup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Marks around what the benchmark writes in the page.
const (
	begin = "<!-- make bench-startup writes from here -->\n"
	end   = "<!-- make bench-startup writes to here -->\n"
)

// write puts the figures between the page's marks.
func write(t *testing.T, report string) {
	t.Helper()
	page := filepath.Join("..", "..", "docs", "performance.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no %q and %q", page, begin, end)
	}
	if err := os.WriteFile(page, []byte(head+begin+report+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// model is the processor's name.
func model() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return "unknown processor"
}

// load is the machine's load average over a minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}
