package config_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"mayfly/internal/config"
)

// FuzzLoad holds of any mayfly.yaml: Load ends, tells problems in one line each with the file's name, and what it
// accepts it can show and load again.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if text, ok := inputOf(txtar.Parse(data)).files["mayfly.yaml"]; ok {
			f.Add(text)
		}
	}
	f.Add([]byte("a: &a {<<: *a}\n"))
	f.Add([]byte("pools: &p [*p]\n"))
	f.Add([]byte("proxmox: {<<: [*x, {node: 1}]}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		o := input{map[string][]byte{"mayfly.yaml": text}}.options()
		o.Env = environ(required())
		c, origins, err := config.Load(o)
		var problems config.Problems
		switch {
		case err == nil:
		case !errors.As(err, &problems):
			t.Fatalf("error %T: %v", err, err)
		default:
			for _, p := range problems {
				if strings.ContainsAny(p.Error(), "\r\n") || p.Wrong == "" || p.Path == "" && p.Origin.File == "" {
					t.Errorf("problem %q", p.Error())
				}
			}
			return
		}
		var shown bytes.Buffer
		if err := config.Show(&shown, c, origins, true); err != nil {
			t.Fatal(err)
		}
		o = input{map[string][]byte{"mayfly.yaml": shown.Bytes()}}.options()
		o.Env = environ(required())
		again, _, err := config.Load(o)
		if err != nil {
			t.Fatalf("what was shown isn't accepted: %v\n%s", err, shown.String())
		}
		if diff := same(c, again); diff != "" {
			t.Errorf("what was shown means something else (-loaded +again):\n%s", diff)
		}
	})
}
