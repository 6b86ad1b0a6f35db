package up

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// columns is how wide what is printed may be: that of a terminal that nobody has made wider. Commands stay whole.
const columns = 80

// indent is before each line of a step.
const indent = "     "

// Printer writes what happens as plain lines.
type Printer struct{ w io.Writer }

// NewPrinter writes to w.
func NewPrinter(w io.Writer) *Printer { return &Printer{w} }

// head begins a step.
func (p *Printer) head(n, of int, name string) { fmt.Fprintf(p.w, "%d/%d  %s\n", n, of, name) }

// end is the last word, below all steps.
func (p *Printer) end(text string) {
	fmt.Fprintf(p.w, "\n%s\n", strings.Join(wrap(text, columns), "\n"))
}

// Line writes a sentence of a step, wrapped.
func (p *Printer) Line(text string) { p.hanging("", text) }

// Verbatim writes a line of a step that is to be copied as it is.
func (p *Printer) Verbatim(text string) { fmt.Fprintf(p.w, "%s  %s\n", indent, text) }

// at writes a line of a step with the time at which it became so.
func (p *Printer) at(since time.Duration, text string) { p.hanging(clock(since)+"  ", text) }

// hanging writes a sentence whose further lines begin below the end of what is before it.
func (p *Printer) hanging(before, text string) {
	for i, line := range wrap(text, columns-len(indent)-len(before)) {
		if i > 0 {
			before = strings.Repeat(" ", len(before))
		}
		fmt.Fprintf(p.w, "%s%s%s\n", indent, before, line)
	}
}

// wrap breaks a text at its spaces into lines of a width, in characters. A longer word has a line of its own.
func wrap(text string, width int) []string {
	lines, line := []string(nil), ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}

// clock is a duration as minutes and seconds, "0:07", of one width below a hundred minutes.
func clock(d time.Duration) string {
	s := int(max(d, 0).Round(time.Second) / time.Second)
	return fmt.Sprintf("%2d:%02d", s/60, s%60)
}

// Took is a duration for people: "7 s", "6 min 12 s".
func Took(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	if s < 60 {
		return fmt.Sprintf("%d s", s)
	}
	return fmt.Sprintf("%d min %d s", s/60, s%60)
}
