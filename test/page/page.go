package page

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Write puts a report between two marks of the page, each a line of its own. It is for packages two folders below the root.
func Write(t *testing.T, begin, end, report string) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", "performance.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no %q and %q", path, begin, end)
	}
	if err := os.WriteFile(path, []byte(head+begin+report+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Model is the processor's name.
func Model() string {
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return "unknown processor"
}

// Load is the machine's load average over a minute.
func Load(t *testing.T) float64 {
	t.Helper()
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	var load float64
	if _, err := fmt.Sscan(string(text), &load); err != nil {
		t.Fatal(err)
	}
	return load
}
