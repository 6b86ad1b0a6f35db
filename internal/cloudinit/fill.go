package cloudinit

import (
	"fmt"
	"slices"
	"strings"
)

// fill puts the values in, each quoted for where it stands.
func (t *Template) fill(v Values) (string, []Problem) {
	var problems []Problem
	text := t.join(func(i int) string {
		s := t.slots[i]
		value := v.of(s.name)
		switch {
		case s.where == inComment:
			return "${" + s.name + "}"
		case s.where == within && !harmlessForm.MatchString(value):
			problems = append(problems, Problem{s.line, fmt.Sprintf(
				"${%s} is a part of a longer text, which may be a command, and its value%s holds other characters than %s; let the placeholder be a string of its own",
				s.name, quoted(s.name, value), harmless)})
			return ""
		case s.where == whole:
			return quote(s.style, value)
		}
		return value
	})
	return text, problems
}

// quote writes a printable, one-line value so that a YAML scalar of that style means just it.
func quote(s style, value string) string {
	switch s {
	case plainScalar:
		return `"` + doubled(value) + `"`
	case doubleQuoted:
		return doubled(value)
	case singleQuoted:
		return strings.ReplaceAll(value, `'`, `''`)
	}
	return value
}

func doubled(value string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
}

func quoted(placeholder, value string) string {
	if isSecret(placeholder) {
		return ""
	}
	return fmt.Sprintf(" %q", value)
}

// verify reads what was rendered as cloud-init will, and compares it with the template: the same structure, and in each
// scalar just the values in the places of the placeholders.
func (t *Template) verify(text string, v Values) []Problem {
	if len(text) > maxRendered {
		return []Problem{{0, fmt.Sprintf("filled in it has %d bytes; Proxmox reads at most %d", len(text), maxRendered)}}
	}
	if looksLikeMIME(text) {
		return []Problem{{0, "filled in it looks like a MIME message to cloud-init"}}
	}
	if t.kind == script {
		return nil
	}
	// What is wrong is found again in the template, whose lines hold no values: parser messages may quote the text.
	root, problems := readYAML(text)
	if len(problems) > 0 || root == nil {
		line := 0
		if len(problems) > 0 {
			line = problems[0].Line
		}
		return []Problem{{line, "is not YAML once it is filled in; put the placeholders of this line in double quotes"}}
	}
	got, err := leavesOf(root)
	if err != nil {
		return []Problem{{0, err.Error()}}
	}
	for i, template := range t.want {
		want := template
		want.text = t.marks.replace(want.text, func(i int) string { return v.of(t.slots[i].name) })
		if i < len(got) && want.style == block {
			// A block that holds an empty value alone has no line for its line break.
			want.text, got[i].text = strings.TrimRight(want.text, "\n"), strings.TrimRight(got[i].text, "\n")
		}
		if i >= len(got) || !want.same(got[i]) {
			return []Problem{{template.line, t.brokenOut(template)}}
		}
	}
	if len(got) != len(t.want) {
		return []Problem{{0, t.brokenOut(leaf{path: "the end"})}}
	}
	return nil
}

// brokenOut names the placeholders of a leaf, or, where the structure isn't the template's, those of its line.
func (t *Template) brokenOut(l leaf) string {
	var names []string
	held := t.marks.in(l.text)
	for i, s := range t.slots {
		if slices.Contains(held, i) || (len(held) == 0 && s.line == l.line && s.where != inComment) {
			names = append(names, "${"+s.name+"}")
		}
	}
	what := "a value"
	if len(names) > 0 {
		what = "the value of " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("at %s %s would change what the YAML means; put the placeholder in double quotes, as a string of its own", t.named(l.path), what)
}
