package guides

import (
	"reflect"
	"strings"
	"testing"

	"mayfly/internal/fleet"
)

// TestEveryFieldOfReadyzIsThere looks up the table of fields in docs/operations.md.
func TestEveryFieldOfReadyzIsThere(t *testing.T) {
	_, table, ok := strings.Cut(guide(t, "docs/operations.md"), "| field of `/readyz` and `/status` |")
	if !ok {
		t.Fatal("docs/operations.md has no table of fields")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	checked := 0
	for line := range strings.Lines(table) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for group := range strings.SplitSeq(cell, "; ") {
			tops, subs, _ := strings.Cut(group, " with ")
			for _, m := range quoteForm.FindAllStringSubmatch(tops, -1) {
				checked++
				top, found := field(reflect.TypeFor[fleet.Status](), strings.TrimSuffix(m[1], "[]"))
				if !found {
					t.Errorf("/readyz has no field %s", m[1])
					continue
				}
				for _, sub := range quoteForm.FindAllStringSubmatch(subs, -1) {
					checked++
					at := top
					for name := range strings.SplitSeq(sub[1], ".") {
						if at, found = field(at, name); !found {
							t.Errorf("/readyz has no field %s in %s", sub[1], m[1])
							break
						}
					}
				}
			}
		}
	}
	if checked < 12 {
		t.Errorf("checked %d fields, want 12 at least", checked)
	}
}

// field is the type of a field by its name in JSON; of a list, of its elements.
func field(of reflect.Type, name string) (reflect.Type, bool) {
	if of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return nil, false
	}
	for f := range of.Fields() {
		if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag == name {
			return f.Type, true
		}
	}
	return nil, false
}
