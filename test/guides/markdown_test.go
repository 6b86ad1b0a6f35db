package guides

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// guide reads a guide.
func guide(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// commands gives the lines of all boxes of a guide: without their comments and indent, continued lines joined.
func commands(text string) []string {
	var lines []string
	inside := false
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			inside = !inside
		case inside:
			if at := strings.Index(line, " #"); at >= 0 {
				line = strings.TrimSpace(line[:at])
			}
			if line != "" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// words splits a command as a shell would, with quotes and nothing else.
func words(command string) []string {
	var out []string
	for _, m := range wordForm.FindAllString(command, -1) {
		out = append(out, strings.NewReplacer(`"`, "", `'`, "").Replace(m))
	}
	return out
}

var wordForm = regexp.MustCompile(`(?:[^\s"']|"[^"]*"|'[^']*')+`)

// options reads --name value pairs.
func options(words []string) map[string]string {
	found := map[string]string{}
	for i := 0; i+1 < len(words); i++ {
		if name, ok := strings.CutPrefix(words[i], "--"); ok {
			found[name] = words[i+1]
		}
	}
	return found
}

// guides lists every guide, relative to the root.
func guides(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"*.md", "docs/*.md", "runners/*.md", "dispatcher/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			rel, err := filepath.Rel(root, p)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, rel)
		}
	}
	return found
}

var (
	linkForm    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingForm = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	anchorDrops = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the headings of a guide as GitHub makes them addresses.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range headingForm.FindAllStringSubmatch(text, -1) {
		found[strings.ReplaceAll(anchorDrops.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), ""), " ", "-")] = true
	}
	return found
}

func TestLinksLeadSomewhere(t *testing.T) {
	checked := 0
	for _, name := range guides(t) {
		for _, m := range linkForm.FindAllStringSubmatch(guide(t, name), -1) {
			link := m[1]
			if strings.Contains(link, "://") || strings.HasPrefix(link, "mailto:") {
				continue
			}
			checked++
			path, anchor, _ := strings.Cut(link, "#")
			target := name
			if path != "" {
				target = filepath.Join(filepath.Dir(name), path)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which isn't there", name, link)
				continue
			}
			if anchor != "" && strings.HasSuffix(target, ".md") && !anchors(guide(t, target))[anchor] {
				t.Errorf("%s links to %s; %s has no such heading", name, link, target)
			}
		}
	}
	if checked < 20 {
		t.Errorf("checked %d links, want at least 20: are they found at all?", checked)
	}
}

// TestTablesHaveAllCells counts the cells of each row: GitHub cuts a row off at a bar that stands inside code, too.
func TestTablesHaveAllCells(t *testing.T) {
	rows := 0
	for _, name := range guides(t) {
		want, inside := 0, false
		for line := range strings.Lines(guide(t, name)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "```") {
				inside = !inside
			}
			if inside || !strings.HasPrefix(line, "|") {
				want = 0
				continue
			}
			rows++
			cells := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") - 1
			if want == 0 {
				want = cells
			}
			if cells != want {
				t.Errorf("%s: %d cells, want %d: %s", name, cells, want, line)
			}
		}
	}
	if rows < 300 {
		t.Errorf("checked %d rows, want 300 at least", rows)
	}
}
