package config

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReferenceIsWhatTheCodeSays makes docs/configuration.md from the comments and tags of file.go.
func TestReferenceIsWhatTheCodeSays(t *testing.T) {
	const path = "../../docs/configuration.md"
	head, err := os.ReadFile("testdata/configuration.head.md")
	if err != nil {
		t.Fatal(err)
	}
	got := string(head) + reference(t)
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/configuration.md is not what the code says; go test ./internal/config -run TestReference -update (-doc +code):\n%s", diff)
	}
}

func reference(t *testing.T) string {
	t.Helper()
	w := &referenceWriter{t: t, texts: comments()}
	w.out.WriteString("## Keys of mayfly.yaml\n\nDurations are `90s`, `5m`, `1h30m` or a whole number of seconds. *Takes effect* is when a change counts in a dispatcher that runs:\n" +
		"[Change the configuration](operations.md#change-the-configuration).\n")
	w.group("", reflect.TypeFor[File]())
	w.out.WriteString("\n## Variables\n\nExactly these are read, with or without a `mayfly.yaml`; those that describe a pool only where it has no `pools`.\n\n" +
		"| variable | key | default |\n|---|---|---|\n")
	for _, required := range []bool{true, false} {
		w.variables("", reflect.TypeFor[File](), required)
	}
	for _, row := range []string{
		"| `REPO_OWNER` | `pools[0].target` | `NREL` |",
		"| `REPO_NAME` | `pools[0].target` | `EnergyPlus` |",
		"| `REPO_URL` | `pools[0].target`; has to agree with the two where they are set. A host other than github.com gives `github.api_url`, too, where that isn't set | `https://github.com/NREL/EnergyPlus` |",
	} {
		w.out.WriteString(row + "\n")
	}
	return w.out.String()
}

type referenceWriter struct {
	t     *testing.T
	texts map[string]string
	out   strings.Builder
}

// group writes the table of a struct, then those of the structs in it.
func (w *referenceWriter) group(path string, t reflect.Type) {
	title, intro := "the top", w.texts["File"]
	if path != "" {
		title = "`" + path + "`"
		intro = ""
	}
	fmt.Fprintf(&w.out, "\n### %s\n\n", title)
	if intro != "" {
		fmt.Fprintf(&w.out, "%s\n\n", strings.Replace(intro, "File is", "This is", 1))
	}
	w.out.WriteString("| key | default | accepted | takes effect | meaning |\n|---|---|---|---|---|\n")
	for i := range t.NumField() {
		f := t.Field(i)
		text := w.texts[t.Name()+"."+f.Name]
		if text == "" {
			w.t.Errorf("%s.%s has no comment", t.Name(), f.Name)
		}
		when := ""
		if !isGroup(f.Type) && !isGroupList(f.Type) {
			when = string(WhenOf(strings.Replace(dot(path, f.Tag.Get("yaml")), "[]", "[0]", 1)))
		}
		fmt.Fprintf(&w.out, "| `%s` | %s | %s | %s | %s |\n", f.Tag.Get("yaml"), byDefault(f), w.accepted(f), when, strings.ReplaceAll(text, "|", `\|`))
	}
	for i := range t.NumField() {
		f := t.Field(i)
		at := dot(path, f.Tag.Get("yaml"))
		switch {
		case isGroup(f.Type):
			w.group(at, f.Type)
		case isGroupList(f.Type):
			w.group(at+"[]", f.Type.Elem())
		}
	}
}

// accepted is the accepted form, as messages tell it.
func (w *referenceWriter) accepted(f reflect.StructField) string {
	k := key{f.Tag.Get("yaml"), f, reflect.New(f.Type).Elem()}
	want := ""
	if form, ok := formOf(f.Tag.Get("form")); ok {
		want = form.want
	} else if f.Tag.Get("oneof") != "" {
		want = k.wantOneOf()
	} else if !isGroup(f.Type) && !isGroupList(f.Type) {
		want = k.wantRange()
	}
	return strings.TrimPrefix(want, "want ")
}

func byDefault(f reflect.StructField) string {
	switch {
	case f.Tag.Get("default") != "":
		return "`" + f.Tag.Get("default") + "`"
	case f.Tag.Get("derived") != "":
		return strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(f.Tag.Get("derived"))
	case f.Tag.Get("required") != "":
		return "required"
	}
	return ""
}

func (w *referenceWriter) variables(path string, t reflect.Type, required bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		at := dot(path, f.Tag.Get("yaml"))
		switch {
		case isGroup(f.Type):
			w.variables(at, f.Type, required)
		case isGroupList(f.Type):
			w.variables(index(at, 0), f.Type.Elem(), required)
		case f.Tag.Get("env") != "" && required == (f.Tag.Get("required") != ""):
			fmt.Fprintf(&w.out, "| `%s` | `%s` | %s |\n", f.Tag.Get("env"), at, byDefault(f))
		}
	}
}

// TestTagsOfKeysMeanSomething finds misspelt tags, forms that aren't there, bad defaults and keys without bounds.
func TestTagsOfKeysMeanSomething(t *testing.T) {
	f := File{Pools: make([]FilePool, 1)}
	seen := map[string]string{}
	for _, k := range f.keys() {
		if name := k.tag("env"); name != "" {
			if seen[name] != "" {
				t.Errorf("%s stands for %s and %s", name, seen[name], k.path)
			}
			seen[name] = k.path
		}
		form, hasForm := formOf(k.tag("form"))
		if !hasForm && k.tag("form") != "" {
			t.Errorf("%s: no form %q", k.path, k.tag("form"))
		}
		switch k.value.Interface().(type) {
		case string, []string:
			if !hasForm && k.tag("oneof") == "" {
				t.Errorf("%s: any text is accepted", k.path)
			}
			if text := k.tag("default"); text != "" && hasForm && !form.matches(text) {
				t.Errorf("%s: the default %q hasn't its own form", k.path, text)
			}
		case int, Duration:
			if k.tag("min") == "" || k.tag("max") == "" {
				t.Errorf("%s has no bounds", k.path)
			}
		}
		if text := k.tag("default"); text != "" {
			if wrong, _ := k.setText(text); wrong != "" || !k.inRange() {
				t.Errorf("%s: default %q: %s", k.path, text, wrong)
			}
		}
	}
	for _, s := range f.secretKeys() {
		if s.file.path != s.secret.path+"_file" || s.file.tag("env") != s.secret.tag("env")+"_FILE" {
			t.Errorf("%s can't come from a file", s.secret.path)
		}
	}
}
