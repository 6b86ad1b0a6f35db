package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"mayfly/internal/check"
)

func writeFindingsJSON(w io.Writer, findings []check.Finding) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		Worst    check.Level     `json:"worst"`
		Findings []check.Finding `json:"findings"`
	}{check.Worst(findings), append([]check.Finding{}, findings...)})
}

// The words of levels, of one width, and their colours on a terminal.
var (
	levelWords  = map[check.Level]string{check.OK: "ok     ", check.Unseen: "unseen ", check.Warning: "warning", check.Error: "error  "}
	levelColour = map[check.Level]string{check.OK: "\x1b[32m", check.Unseen: "\x1b[36m", check.Warning: "\x1b[33m", check.Error: "\x1b[31m"}
)

// findingsView is how findings are shown to people.
type findingsView struct {
	colour bool
	// width is the terminal's: words are wrapped below each other. 0 is none: each finding is one line, for programs that search lines.
	width int
}

// findingsViewOf is that of where the command writes to.
func (a *app) findingsViewOf() findingsView {
	f := terminal(a.stdout, a.env)
	if f == nil {
		return findingsView{}
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 0
	}
	return findingsView{colour: lookup(a.env, "NO_COLOR") == "", width: width}
}

const (
	// whatWide is the widest column of what is looked at; a longer one pushes its own line alone.
	whatWide = 44
	// reasonNarrow is the narrowest that reasons are wrapped to, beside the column; narrower, they go below it.
	reasonNarrow = 40
	// cureIndent is where cures begin.
	cureIndent = 9
)

// write writes the table: a line for each finding, its cure below, and how many there are of each level.
func (v findingsView) write(w io.Writer, findings []check.Finding) error {
	wide := 0
	for _, f := range findings {
		wide = max(wide, utf8.RuneCountInString(f.What))
	}
	wide = min(wide, whatWide)
	levels := map[check.Level]int{}
	var out strings.Builder
	for _, f := range findings {
		levels[f.Level]++
		word := levelWords[f.Level]
		if v.colour {
			word = levelColour[f.Level] + word + "\x1b[0m"
		}
		if reason, below := v.reason(f, wide); below {
			fmt.Fprintf(&out, "%s  %s\n%*s%s\n", word, f.What, cureIndent, "", reason)
		} else {
			fmt.Fprintf(&out, "%s  %-*s  %s\n", word, wide, f.What, reason)
		}
		if f.Cure != "" {
			// Not wrapped here: a command has to be copied in one piece.
			fmt.Fprintf(&out, "%*s-> %s\n", cureIndent, "", f.Cure)
		}
	}
	fmt.Fprintf(&out, "\n%d ok, ", levels[check.OK])
	if n := levels[check.Unseen]; n > 0 {
		fmt.Fprintf(&out, "%d unseen, ", n)
	}
	fmt.Fprintf(&out, "%s, %s\n", count(levels[check.Warning], "warning"), count(levels[check.Error], "error"))
	_, err := io.WriteString(w, out.String())
	return err
}

// reason wraps a finding's reason into its column, or below what is looked at where that is too long or the terminal too narrow.
func (v findingsView) reason(f check.Finding, wide int) (reason string, below bool) {
	if v.width == 0 {
		return f.Reason, false
	}
	indent := cureIndent + wide + 2
	if v.width-indent < reasonNarrow || utf8.RuneCountInString(f.What) > wide {
		indent, below = cureIndent, true
	}
	return strings.Join(wrap(f.Reason, max(v.width-indent, reasonNarrow/2)), "\n"+strings.Repeat(" ", indent)), below
}

// wrap breaks words into lines; a word that is longer has a line of its own.
func wrap(s string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
