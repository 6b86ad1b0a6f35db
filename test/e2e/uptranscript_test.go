//go:build e2e

package e2e

import (
	"flag"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-cmp/cmp"

	"mayfly/test/transcript"
)

var update = flag.Bool("update", false, "write what mayfly up printed into README.md and docs/up.md")

// wantTranscript wants what was printed to be what the README shows, apart from figures.
func (g *guide) wantTranscript() {
	g.t.Helper()
	got := transcript.Of(g.transcript.String())
	for _, page := range transcript.Pages() {
		path := filepath.Join(root, page)
		text, err := os.ReadFile(path)
		if err != nil {
			g.t.Fatal(err)
		}
		if *update {
			changed, err := transcript.Put(string(text), got)
			if err == nil {
				err = os.WriteFile(path, []byte(changed), 0o644)
			}
			if err != nil {
				g.t.Fatalf("%s: %v", page, err)
			}
			continue
		}
		shown, err := transcript.In(string(text))
		if err != nil {
			g.t.Errorf("%s: %v", page, err)
			continue
		}
		if diff := cmp.Diff(transcript.Words(shown), transcript.Words(got)); diff != "" {
			g.t.Errorf("%s shows another transcript; run this test with -update (-shown +printed):\n%s\nprinted:\n%s", page, diff, strings.TrimSpace(got))
		}
	}
}
