package cloudinit

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// where is what a placeholder is to its surroundings.
type where int

const (
	inComment where = iota // nothing is filled in
	whole                  // it is all of a scalar, white space aside: any value can be quoted
	within                 // it is a part of a scalar, or of a script: harmless values only
)

// slot is where a placeholder stands.
type slot struct {
	name  string
	line  int
	where where
	style style
	path  string // in cloud-config
}

// marks are words that stand in for placeholders while a template is read: letters and digits, so that they are part of
// whatever scalar the placeholder is in. No text of the template looks like one.
type marks struct {
	word string
	form *regexp.Regexp
}

func newMarks(pieces []piece) marks {
	for n := 0; ; n++ {
		word := fmt.Sprintf("mark%dx", n)
		used := false
		for _, p := range pieces {
			used = used || strings.Contains(p.text, word)
		}
		if !used {
			return marks{word, regexp.MustCompile(word + `([0-9]{6})z`)}
		}
	}
}

func (m marks) of(i int) string { return fmt.Sprintf("%s%06dz", m.word, i) }

// in returns which placeholders' marks a text holds.
func (m marks) in(text string) []int {
	var found []int
	for _, match := range m.form.FindAllStringSubmatch(text, -1) {
		i, _ := strconv.Atoi(match[1]) // six digits
		found = append(found, i)
	}
	return found
}

// replace puts something else in the place of each mark.
func (m marks) replace(text string, by func(i int) string) string {
	return m.form.ReplaceAllStringFunc(text, func(mark string) string {
		i, _ := strconv.Atoi(mark[len(m.word) : len(mark)-1])
		return by(i)
	})
}

// place finds out where each placeholder stands, and reads the rest of the template on the way.
func (t *Template) place() []Problem {
	t.marks = newMarks(t.pieces)
	for _, p := range t.pieces {
		if p.name != "" {
			t.slots = append(t.slots, slot{name: p.name, line: p.line, where: within})
		}
	}
	if t.kind == script {
		for _, s := range t.slots {
			if isSecret(s.name) && len(t.odd) == 0 {
				t.odd = append(t.odd, Problem{s.line, "the identity is in a script, which cloud-init keeps in /var/lib/cloud for every later look; cloud-config can put it into a file under /run"})
			}
		}
		return nil
	}
	return t.placeInYAML()
}

func (t *Template) placeInYAML() []Problem {
	root, problems := readYAML(t.join(t.marks.of))
	for i, p := range problems {
		problems[i].Text = t.named(p.Text)
	}
	if root == nil {
		return problems
	}
	for _, p := range checkKeys(root) {
		problems = append(problems, Problem{p.Line, t.named(p.Text)})
	}
	leaves, err := leavesOf(root)
	if err != nil {
		return append(problems, Problem{0, err.Error()})
	}
	t.want = leaves
	for _, p := range checkMarkup(leaves) {
		problems = append(problems, Problem{p.Line, t.named(p.Text)})
	}
	found := make([]bool, len(t.slots))
	for _, l := range leaves {
		for _, i := range t.marks.in(l.text) {
			if i >= len(t.slots) || l.what == anchorLeaf || l.what == aliasLeaf {
				continue // an anchor's name takes no value, and is refused below
			}
			found[i] = true
			s := &t.slots[i]
			s.style, s.path = l.style, l.path
			if strings.TrimSpace(l.text) == t.marks.of(i) {
				s.where = whole
			}
			switch {
			case l.what == "key":
				problems = append(problems, Problem{s.line, fmt.Sprintf("${%s} is a key; want it in a value", s.name)})
			case l.what != "string" || (l.tag != "" && l.tag != "!!str"):
				problems = append(problems, Problem{s.line, fmt.Sprintf("${%s} has the tag %s; want it in a string", s.name, l.tag)})
			}
		}
	}
	before := t.linesBefore()
	for i := range t.slots {
		s := &t.slots[i]
		if found[i] {
			continue
		}
		if s.where = inComment; !strings.Contains(before[i], "#") {
			problems = append(problems, Problem{s.line, fmt.Sprintf("${%s} stands where no value can be; want it in a string", s.name)})
		}
	}
	t.odd = t.unwise()
	return problems
}

// unwise finds places that show an identity to more than must see it.
func (t *Template) unwise() []Problem {
	var odd []Problem
	for _, s := range t.slots {
		switch {
		case !isSecret(s.name) || s.where == inComment:
		case isCommand(s.path):
			odd = append(odd, Problem{s.line, fmt.Sprintf("${%s} is in a command, so every process in the VM can see it in the process list; "+
				"write it to a file under /run and give that to run-once.sh on its standard input", s.name)})
		case strings.HasPrefix(s.path, "write_files["):
			if path := t.textOf(strings.TrimSuffix(s.path, ".content") + ".path"); path != "" && !strings.HasPrefix(path, "/run/") {
				odd = append(odd, Problem{s.line, fmt.Sprintf("${%s} goes to %s, on the VM's disk; a file under /run is in memory", s.name, path)})
			}
		}
	}
	return odd
}

// textOf returns the scalar of that path.
func (t *Template) textOf(path string) string {
	for _, l := range t.want {
		if l.path == path && l.what == "string" {
			return t.named(l.text)
		}
	}
	return ""
}

// join puts the template together with something for each placeholder.
func (t *Template) join(placeholder func(i int) string) string {
	var b strings.Builder
	i := 0
	for _, p := range t.pieces {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		b.WriteString(placeholder(i))
		i++
	}
	return b.String()
}

// named writes placeholders for marks, for messages.
func (t *Template) named(text string) string {
	return t.marks.replace(text, func(i int) string {
		if i >= len(t.slots) {
			return ""
		}
		return "${" + t.slots[i].name + "}"
	})
}

// linesBefore returns what stands before each placeholder on its line.
func (t *Template) linesBefore() []string {
	var list []string
	line := ""
	for _, p := range t.pieces {
		if p.name != "" {
			list = append(list, line)
			line += "${" + p.name + "}"
			continue
		}
		if at := strings.LastIndexByte(p.text, '\n'); at >= 0 {
			line = p.text[at+1:]
		} else {
			line += p.text
		}
	}
	return list
}
