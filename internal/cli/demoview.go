package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"golang.org/x/term"
)

// demoView shows the demo while it goes on.
type demoView interface {
	// news tells one change.
	news(n demoNews)
	// frame is called a few times a second with the whole state.
	frame(m *demoModel, now time.Time)
	// note says a sentence of the demo's own.
	note(text string)
	// end leaves the output as it shall stay.
	end()
}

// terminal returns the file behind w when it is a terminal that understands cursor movements, else nil.
func terminal(w io.Writer, env []string) *os.File {
	f, ok := w.(*os.File)
	if !ok || !isatty.IsTerminal(f.Fd()) || lookup(env, "TERM") == "dumb" {
		return nil
	}
	return f
}

// lookup finds a variable in an environment; the last one counts, as in os/exec.
func lookup(env []string, name string) string {
	value := ""
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}

// plainView writes a line for each change.
type plainView struct{ w io.Writer }

func (v plainView) news(n demoNews) {
	where := ""
	if n.VMID != 0 {
		where = fmt.Sprintf("VM %d", n.VMID)
	}
	line := fmt.Sprintf("%s  %-6s  %-28s  %-11s  %-8s", seconds(n.At), n.Kind, subject(n), n.State, where)
	if n.Note != "" {
		line += "  " + n.Note
	}
	fmt.Fprintln(v.w, strings.TrimRight(line, " "))
}

// subject is whose change it is.
func subject(n demoNews) string {
	if n.Kind == "job" {
		return n.Job
	}
	return n.Runner
}

func (plainView) frame(*demoModel, time.Time) {}

func (v plainView) note(text string) { fmt.Fprintln(v.w, text) }

func (plainView) end() {}

// jsonView writes a JSON object for each change, one a line.
type jsonView struct {
	enc *json.Encoder
	log func(text string)
}

func (v jsonView) news(n demoNews) {
	_ = v.enc.Encode(struct { // a closed pipe ends the demo elsewhere
		Kind   string `json:"kind"`
		AtMS   int64  `json:"at_ms"`
		State  string `json:"state"`
		Job    string `json:"job,omitempty"`
		Runner string `json:"runner,omitempty"`
		VMID   int    `json:"vmid,omitempty"`
		Reason string `json:"reason,omitempty"`
	}{n.Kind, n.At.Milliseconds(), n.State, n.Job, n.Runner, n.VMID, n.Note})
}

func (jsonView) frame(*demoModel, time.Time) {}

func (v jsonView) note(text string) { v.log(text) }

func (jsonView) end() {}

// tableView redraws a table in place.
type tableView struct {
	f     *os.File
	color bool
	title string
	notes []string
	drawn int // lines of the last frame
	last  *demoModel
}

// Escape sequences (ECMA-48), which every terminal of today understands.
const (
	escUp         = "\x1b[%dA\r"
	escClearLine  = "\x1b[K"
	escClearBelow = "\x1b[J"
	escHide       = "\x1b[?25l"
	escShow       = "\x1b[?25h"
)

func (*tableView) news(demoNews) {}

// note comes with the end, which a second Ctrl-C may hasten: the cursor is shown again while there is time.
func (v *tableView) note(text string) {
	v.notes = append(v.notes, text)
	fmt.Fprint(v.f, escShow)
}

func (v *tableView) frame(m *demoModel, now time.Time) {
	v.last = m
	width, height, err := term.GetSize(int(v.f.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	v.draw(demoTable{width: width, rows: height - 1, color: v.color, title: v.title, notes: v.notes}.lines(m, now))
}

func (v *tableView) draw(lines []string) {
	var b strings.Builder
	if v.drawn == 0 {
		b.WriteString(escHide)
	} else {
		fmt.Fprintf(&b, escUp, v.drawn)
	}
	for _, l := range lines {
		b.WriteString(l + escClearLine + "\n")
	}
	b.WriteString(escClearBelow)
	v.drawn = len(lines)
	fmt.Fprint(v.f, b.String())
}

func (v *tableView) end() {
	if v.last != nil {
		v.frame(v.last, time.Now())
	}
	fmt.Fprint(v.f, escShow)
}

// seconds is a time since the start, right-aligned so that lines are straight for the first quarter of an hour.
func seconds(d time.Duration) string { return fmt.Sprintf("%6.2fs", d.Seconds()) }
