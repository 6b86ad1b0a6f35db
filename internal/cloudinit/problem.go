package cloudinit

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong or odd in a template.
type Problem struct {
	// Line counts from 1; 0 means the template as a whole.
	Line int
	Text string
}

// String returns the problem with its line.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.Text
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Text)
}

// TemplateError holds all that is wrong with a template, in the order of its lines.
type TemplateError struct {
	// Name is where the template is from.
	Name     string
	Problems []Problem
}

// Error returns a line for each problem.
func (e *TemplateError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("user-data template %s: %s", e.Name, p)
	}
	return strings.Join(lines, "\n")
}

// refuse makes the problems an error, or nil where there is none.
func refuse(name string, problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b Problem) int { return a.Line - b.Line })
	return &TemplateError{Name: name, Problems: problems}
}
