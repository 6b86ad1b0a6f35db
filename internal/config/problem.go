package config

import (
	"cmp"
	"slices"
	"strings"
)

// Problem is one thing that is wrong, told in one line.
type Problem struct { //nolint:errname // the word that commands and messages use
	// Origin is where the value stands; the zero value when nothing was set.
	Origin Origin
	// Path is the key, "pools[0].max"; "" when the problem is with a file as a whole.
	Path string
	// Wrong says what is wrong, Want the accepted form or what to do.
	Wrong, Want string
}

// Error tells the place, the key, what is wrong and what is accepted.
func (p Problem) Error() string {
	s := join(p.Origin.place(), p.Origin.Name, p.Path, p.Wrong)
	if p.Want != "" {
		s += "; " + p.Want
	}
	return oneLine(s)
}

// Problems are all that is wrong with a configuration. [Load] returns them as its error.
type Problems []Problem //nolint:errname // as Problem

// Error has a line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Warning is something that works but is probably not meant, to be said once at the start.
type Warning struct {
	Origin Origin
	Path   string
	// Text says what is so and what to do about it.
	Text string
}

// String tells the place, the key and the text, in one line.
func (w Warning) String() string {
	return oneLine(join(w.Origin.place(), w.Origin.Name, w.Path, w.Text))
}

// report collects what Load finds on its way.
type report struct {
	problems Problems
	warnings []Warning
}

// maxProblems is how many problems are told: a file that isn't a mayfly.yaml at all has one in every line.
const maxProblems = 100

func (r *report) problem(o Origin, path, wrong, want string) {
	p := Problem{Origin: o, Path: path, Wrong: wrong, Want: want}
	if len(r.problems) >= maxProblems {
		return
	}
	if !slices.Contains(r.problems, p) {
		r.problems = append(r.problems, p)
	}
}

func (r *report) warn(o Origin, path, text string) {
	w := Warning{Origin: o, Path: path, Text: text}
	if !slices.Contains(r.warnings, w) {
		r.warnings = append(r.warnings, w)
	}
}

// sort puts what stands in files into the order of the files, everything else first and in the order it was found.
func (r *report) sort() {
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return byPlace(a.Origin, b.Origin) })
	slices.SortStableFunc(r.warnings, func(a, b Warning) int { return byPlace(a.Origin, b.Origin) })
}

func byPlace(a, b Origin) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// oneLine makes sure that a value with line breaks can't make two lines of a message.
func oneLine(s string) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(s)
}
