package config_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	goyaml "github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"mayfly/internal/config"
)

var update = flag.Bool("update", false, "write golden files anew")

// secretsOfGolden must never be in anything that is shown.
var secretsOfGolden = []string{"pve-secret", "gh-secret", "pve secret", "two words", "password", "12345"}

// TestGolden runs every archive of testdata/golden: what Load says of it, and whether the schema and Load agree.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	schema := compileSchema(t)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in := inputOf(archive)
			c, origins, err := config.Load(in.options())
			if good := strings.HasPrefix(name, "good-"); good != (err == nil) {
				t.Errorf("Load: %v", err)
			}
			got := describe(t, c, origins, err)
			for _, secret := range secretsOfGolden {
				if strings.Contains(got, secret) {
					t.Errorf("the secret %q is shown", secret)
				}
			}
			verdict := schemaVerdict(schema, in.files["mayfly.yaml"])
			if strings.HasPrefix(name, "good-") && strings.HasPrefix(verdict, "refuses") {
				t.Errorf("the schema refuses what Load accepts: %s", verdict)
			}
			if *update {
				in.set(archive, "schema", verdict)
				in.set(archive, "want", got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(in.files["want"]), got); diff != "" {
				t.Errorf("Load (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(string(in.files["schema"]), verdict); diff != "" {
				t.Errorf("schema (-want +got):\n%s", diff)
			}
		})
	}
}

// input is a configuration in memory.
type input struct{ files map[string][]byte }

func inputOf(a *txtar.Archive) input {
	in := input{map[string][]byte{}}
	for _, f := range a.Files {
		in.files[f.Name] = f.Data
	}
	return in
}

func (in input) set(a *txtar.Archive, name, text string) {
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = []byte(text)
			return
		}
	}
	a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(text)})
}

func (in input) options() config.LoadOptions {
	o := config.LoadOptions{ReadFile: in.read, Stat: func(string) (fs.FileInfo, error) { return nil, fs.ErrNotExist }}
	if _, ok := in.files["mayfly.yaml"]; ok {
		o.File = "mayfly.yaml"
	}
	if _, ok := in.files["dispatcher.env"]; ok {
		o.EnvFile = "dispatcher.env"
	}
	for line := range strings.Lines(string(in.files["env"])) {
		o.Env = append(o.Env, strings.TrimSuffix(line, "\n"))
	}
	return o
}

func (in input) read(path string) ([]byte, error) {
	if data, ok := in.files[path]; ok {
		return data, nil
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
}

// describe is what a person is told: problems, or warnings and the values in force.
func describe(t *testing.T, c *config.Config, origins config.Origins, err error) string {
	t.Helper()
	if err != nil {
		var problems config.Problems
		if !errors.As(err, &problems) {
			t.Errorf("the error is a %T, want Problems", err)
		}
		if lines := strings.Count(err.Error(), "\n") + 1; lines != len(problems) {
			t.Errorf("%d problems in %d lines", len(problems), lines)
		}
		return err.Error() + "\n"
	}
	var b bytes.Buffer
	for _, w := range c.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	if err := config.Show(&b, c, origins, true); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("mayfly.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("mayfly.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// schemaVerdict reads the YAML as an editor would, with a decoder that knows nothing of our types.
func schemaVerdict(schema *jsonschema.Schema, text []byte) string {
	if text == nil {
		return "nothing to say: no mayfly.yaml\n"
	}
	var doc any
	if err := goyaml.Unmarshal(text, &doc); err != nil {
		return "nothing to say: not YAML\n"
	}
	if err := schema.Validate(plainJSON(doc)); err != nil {
		return "refuses\n"
	}
	return "accepts\n"
}

// plainJSON turns YAML's values into those that JSON has.
func plainJSON(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			x[k] = plainJSON(e)
		}
	case []any:
		for i, e := range x {
			x[i] = plainJSON(e)
		}
	case uint64:
		return float64(x)
	case int64:
		return float64(x)
	}
	return v
}
