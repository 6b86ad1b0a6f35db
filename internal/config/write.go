package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"mayfly/internal/runner"
)

// Note is a [Setting] to write, with a word on where it comes from: "asked", "PROXMOX_NODE"; "" for none.
type Note struct {
	Path, Value, From string
}

// Write writes a mayfly.yaml with these settings and no others, each below a comment that says what its key means. head goes first, as a comment,
// a line each. Secrets don't belong into a file that people read: their keys are refused.
func Write(w io.Writer, head []string, notes []Note) error {
	f := &File{}
	from := map[string]string{}
	var errs []error
	for _, n := range notes {
		k, ok := f.keyAt(n.Path)
		if !ok || k.field.Type == reflect.TypeFor[runner.Secret]() {
			errs = append(errs, fmt.Errorf("write %s: no key that may stand in a file", n.Path))
			continue
		}
		if wrong, want := k.setText(n.Value); wrong != "" {
			errs = append(errs, fmt.Errorf("write %s: %s; %s", n.Path, wrong, want))
		}
		from[n.Path] = n.From
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	p := &writer{from: from, texts: comments()}
	for _, line := range head {
		fmt.Fprintf(&p.out, "# %s\n", line)
	}
	p.group("", "", "", reflect.ValueOf(f).Elem())
	_, err := w.Write(p.out.Bytes())
	return err
}

// writer writes the keys that were set, in the order of the types.
type writer struct {
	out   bytes.Buffer
	from  map[string]string // by path, of what was set
	texts map[string]string
}

// group writes a struct; first is what stands before the first key in place of the indentation.
func (p *writer) group(path, indent, first string, v reflect.Value) {
	lead := first
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		at := dot(path, field.Tag.Get("yaml"))
		if !p.has(at) {
			continue
		}
		if lead == "" {
			lead = indent
		}
		if path == "" {
			p.out.WriteString("\n")
		}
		p.comment(strings.TrimSuffix(lead, "- "), p.texts[v.Type().Name()+"."+field.Name])
		switch {
		case isGroup(field.Type):
			fmt.Fprintf(&p.out, "%s%s:\n", lead, field.Tag.Get("yaml"))
			p.group(at, indent+"  ", "", value)
		case isGroupList(field.Type):
			fmt.Fprintf(&p.out, "%s%s:\n", lead, field.Tag.Get("yaml"))
			for j := range value.Len() {
				p.group(index(at, j), indent+"    ", indent+"  - ", value.Index(j))
			}
		default:
			line := lead + field.Tag.Get("yaml") + ": " + scalarText(value)
			if from := p.from[at]; from != "" {
				line += "  # " + oneLine(from)
			}
			p.out.WriteString(line + "\n")
		}
		lead = indent
	}
}

// has reports whether a key, or one below it, is to be written.
func (p *writer) has(path string) bool {
	for written := range p.from {
		if written == path || within(written, path) {
			return true
		}
	}
	return false
}

// The width of comments, and how long a comment may be; more is in docs/configuration.md.
const (
	commentWidth   = 100
	longestComment = 200
)

// comment writes a comment above a key.
func (p *writer) comment(indent, text string) {
	var line string
	for _, word := range strings.Fields(shorten(text)) {
		if line != "" && len(indent)+len("# ")+len(line)+1+len(word) > commentWidth {
			fmt.Fprintf(&p.out, "%s# %s\n", indent, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	if line != "" {
		fmt.Fprintf(&p.out, "%s# %s\n", indent, line)
	}
}

// shorten keeps the sentences that fit, at least one.
func shorten(text string) string {
	for len(text) > longestComment {
		before := strings.TrimSuffix(text, ".")
		at := strings.LastIndex(before, ". ")
		if at < 0 {
			break
		}
		text = text[:at+1]
	}
	return text
}
