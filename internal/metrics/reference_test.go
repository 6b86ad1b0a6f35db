package metrics_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"mayfly/internal/fleet"
	"mayfly/internal/metrics"
)

var update = flag.Bool("update", false, "write docs/metrics.md anew")

const referenceFile = "../../docs/metrics.md"

// The marks between which the page is made from the code.
const (
	generatedBegin = "<!-- made from the code: go test ./internal/metrics -run TestReference -update -->\n"
	generatedEnd   = "<!-- end of what is made from the code -->\n"
)

// reference is the part of the page that is made from the code.
func reference() string {
	var b strings.Builder
	b.WriteString(generatedBegin + "\n| metric | kind | labels | |\n|---|---|---|---|\n")
	for _, m := range metrics.All() {
		labels := make([]string, len(m.Labels))
		for i, l := range m.Labels {
			labels[i] = "`" + l + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, strings.Join(labels, ", "), m.Help)
	}
	fmt.Fprintf(&b, "\n`stage` is one of: %s.\n\n`cause` is one of: %s.\n\n", quoted(fleet.Stages()), quoted(fleet.Causes()))
	b.WriteString(generatedEnd)
	return b.String()
}

func quoted[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = "`" + string(w) + "`"
	}
	return strings.Join(words, ", ")
}

func TestReference(t *testing.T) {
	data, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(data), generatedBegin)
	have, after, ends := strings.Cut(rest, generatedEnd)
	if !begins || !ends {
		t.Fatalf("%s lacks the marks of what is made from the code", referenceFile)
	}
	want := reference()
	if generatedBegin+have+generatedEnd == want {
		return
	}
	if !*update {
		t.Fatalf("%s isn't what the code says; run: go test ./internal/metrics -run TestReference -update", referenceFile)
	}
	if err := os.WriteFile(referenceFile, []byte(before+want+after), 0o644); err != nil { //nolint:gosec // a page of documentation
		t.Fatal(err)
	}
}
