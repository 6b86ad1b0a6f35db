package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"mayfly/internal/bootstrap"
)

// steps are what a bootstrap tells, up to an error.
func steps() []bootstrap.Event {
	return []bootstrap.Event{
		{Step: "look for a dispatcher's container", New: true},
		{Step: "download http://x/debian.tar.zst", New: true},
		{Step: "download http://x/debian.tar.zst", Text: "taken up again: connection reset"},
		{Step: "download http://x/debian.tar.zst", Done: 200 << 20, Total: 400 << 20},
		{Step: "start container 190", New: true},
	}
}

func TestStepsAreToldLineByLineWhereThereIsNoTerminal(t *testing.T) {
	var out bytes.Buffer
	a := newApp(Options{Stdout: &out, Stderr: &out})
	v := a.newStepView(t.Context(), a.stderr, "")
	for _, e := range steps() {
		v.event(e)
	}
	v.close(errors.New("no"))
	const want = "look for a dispatcher's container\ndownload http://x/debian.tar.zst\ndownload http://x/debian.tar.zst  taken up again: connection reset\nstart container 190\n"
	if out.String() != want {
		t.Errorf("%q", out.String())
	}
}

func TestStepsOnATerminalHaveALineEachWithABarThatMoves(t *testing.T) {
	for _, tc := range []struct {
		err  error
		last string
	}{{nil, "✓"}, {errors.New("no"), "✗"}} {
		var out bytes.Buffer
		v := &stepView{liveView: liveView{w: &out, width: func() int { return 80 }, cancel: func() {}}}
		for _, e := range steps() {
			v.said = v.said.AddDate(0, 0, -1) // each is due
			v.event(e)
		}
		v.close(tc.err)
		if !strings.Contains(out.String(), "████████████░░░░░░░░░░░░ 200.0 MiB of 400.0 MiB (50%)") {
			t.Errorf("no whole bar in %q", out.String())
		}
		// What a terminal shows in the end: of each line what came last.
		var screen []string
		for line := range strings.Lines(out.String()) {
			line = strings.TrimRight(line, "\n")
			screen = append(screen, line[strings.LastIndex(line, "\x1b[K")+len("\x1b[K"):])
		}
		for i, want := range []string{"✓ look for", "✓ download http://x/debian.tar.zst  0s", tc.last + " start container 190  0s"} {
			if i >= len(screen) || !strings.HasPrefix(screen[i], want) {
				t.Errorf("line %d of %q, want %q", i, screen, want)
			}
		}
	}
}

func TestProgressIsWhatHasComeAndABarWhereTheEndIsKnown(t *testing.T) {
	for want, e := range map[string]bootstrap.Event{
		"5.0 MiB": {Done: 5 << 20}, "██ 3.0 MiB of 2.0 MiB (100%)": {Done: 3 << 20, Total: 2 << 20}, "why": {Text: "why"}, "": {},
	} {
		if got := progress(e, 2); got != want {
			t.Errorf("%+v: %q, want %q", e, got, want)
		}
	}
}
