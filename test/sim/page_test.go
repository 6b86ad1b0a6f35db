package sim

import (
	"os"
	"strings"
	"testing"
)

// TestPageTellsAllThatGoesWrong holds docs/simulation.md against the troubles and the guests' misbehaviours.
func TestPageTellsAllThatGoesWrong(t *testing.T) {
	text, err := os.ReadFile("../../docs/simulation.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, name := range worldFaults {
		task, what, _ := strings.Cut(name, " ")
		told := strings.Contains(page, "`"+name+"`") ||
			strings.HasPrefix(name, "qm") && strings.Contains(page, "`"+task+"`") && strings.Contains(page, what)
		if !told {
			t.Errorf("docs/simulation.md lacks %q", name)
		}
	}
	for _, b := range misbehaviours {
		if !strings.Contains(page, b.String()) {
			t.Errorf("docs/simulation.md lacks the guest that %q", b)
		}
	}
}
