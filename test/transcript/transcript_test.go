package transcript

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPagesShowTheSameTranscript also wants it to be one: of the whole guide, in lines that a terminal holds.
func TestPagesShowTheSameTranscript(t *testing.T) {
	var first string
	for _, page := range Pages() {
		text, err := os.ReadFile(filepath.Join("..", "..", page))
		if err != nil {
			t.Fatal(err)
		}
		shown, err := In(string(text))
		if err != nil {
			t.Errorf("%s: %v", page, err)
			continue
		}
		if first == "" {
			first = shown
		}
		if shown != first {
			t.Errorf("%s shows another transcript than %s", page, Pages()[0])
		}
	}
	for _, words := range []string{"$ mayfly up\n", "1/5  init\n", "interrupted in step image", "already done: ", "5/5  job\n", "done: success\n"} {
		if !strings.Contains(first, words) {
			t.Errorf("the transcript lacks %q", words)
		}
	}
}

func TestFiguresDontCountAndAllElseDoes(t *testing.T) {
	a := "     pve1          download    0s  http://x\n     pve1          download   15s  3.1 MiB of 1.0 GiB (0%)\n      0:07  VM 300 runs on ep-0123456789\n     done in 1 min 3 s: well\n"
	b := "     pve1          download    1s  http://x\n     12:31  VM 301 runs on ep-ab3456789f\n     done in 7 s:\n     well\n"
	if Of(a) != strings.Replace(a, "     pve1          download   15s  3.1 MiB of 1.0 GiB (0%)\n", "", 1) {
		t.Errorf("kept:\n%s", Of(a))
	}
	if wa, wb := Words(Of(a)), Words(Of(b)); !slices.Equal(wa, wb) {
		t.Errorf("%q\n%q", wa, wb)
	}
	if slices.Equal(Words("VM 300 runs"), Words("VM 300 is gone")) {
		t.Error("words don't count")
	}
}

func TestATranscriptIsPutWhereTheCommentsAre(t *testing.T) {
	page := "before\n" + begin + "old\n" + end + "after\n"
	put, err := Put(page, "new\n")
	if shown, _ := In(put); err != nil || shown != "new\n" || !strings.HasPrefix(put, "before\n") || !strings.HasSuffix(put, "after\n") {
		t.Errorf("%v\n%s", err, put)
	}
	if _, err := Put("nothing here", "new\n"); err == nil {
		t.Error("put nowhere")
	}
	if _, err := In("nothing here"); err == nil {
		t.Error("found nowhere")
	}
}
