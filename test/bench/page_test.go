//go:build bench

package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Marks around what the benchmark writes in the page.
const (
	begin = "<!-- make bench writes from here -->\n"
	end   = "<!-- make bench writes to here -->\n"
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
