package guides

import (
	"strings"
	"testing"
)

// steps are the README's, in the order in which people need them.
var steps = []string{
	"## 1. Variables of the image", "## 2. Build the image", "## 3. What the image holds", "## 4. The dispatcher", "## 5. The GitHub token",
	"## 6. Bootstrap", "## 7. Secrets and tokens", "## 8. The first job", "## 9. Troubleshooting", "## 10. A runner by hand",
}

func TestReadmeIsShortAndInOrder(t *testing.T) {
	text := guide(t, "README.md")
	if n := strings.Count(text, "\n"); n >= 200 {
		t.Errorf("the README has %d lines, want fewer than 200: details go to docs", n)
	}
	rest := text
	for _, step := range steps {
		_, after, ok := strings.Cut(rest, step+"\n")
		if !ok {
			t.Fatalf("the README lacks %q, or has it too early", step)
		}
		rest = after
	}
}

func TestReadmeLeadsToEveryPage(t *testing.T) {
	text := guide(t, "README.md")
	for _, name := range guides(t) {
		if name != "README.md" && !strings.Contains(text, "("+name) {
			t.Errorf("the README doesn't lead to %s", name)
		}
	}
}
