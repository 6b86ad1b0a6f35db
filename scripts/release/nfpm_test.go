package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// packages is what the tests look at in dispatcher/packaging/nfpm.yaml.
type packages struct {
	Contents []struct {
		Src, Dst, Type, Packager string
		FileInfo                 struct{ Mode fs.FileMode } `yaml:"file_info"`
	}
	Scripts map[string]string
}

func TestPackagesFindAllTheirFiles(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "dispatcher", "packaging", "nfpm.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var p packages
	if err := yaml.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := writeDocs(dir, at); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "sh", filepath.Join(root, "scripts", "release-stage.sh"), dir).CombinedOutput(); err != nil {
		t.Fatalf("release-stage.sh: %v: %s", err, out)
	}

	packed := map[string]fs.FileMode{}
	for _, c := range p.Contents {
		below, same := strings.CutPrefix(c.Src, "dist/build/common/")
		switch {
		case c.Type == "dir", strings.HasPrefix(c.Src, "dist/build/${GOARCH}/"): // made by nfpm and by the compiler
		case !same:
			t.Errorf("%s comes from outside dist/build, with the time it has there", c.Src)
		default:
			info, err := os.Stat(filepath.Join(dir, below))
			if err != nil {
				t.Errorf("%s: %v", c.Src, err)
				continue
			}
			if info.IsDir() != (c.Type == "tree") {
				t.Errorf("%s: type %q", c.Src, c.Type)
			}
		}
		packed[c.Dst] = c.FileInfo.Mode
	}
	if mode, ok := packed["/etc/mayfly/dispatcher.env"]; !ok || mode != 0o600 {
		t.Errorf("dispatcher.env, which will hold secrets, has mode %o", mode)
	}
	for _, dst := range []string{"/usr/bin/mayfly", "/lib/systemd/system/mayfly.service", "/usr/lib/systemd/system/mayfly.service", "/usr/share/man"} {
		if _, ok := packed[dst]; !ok {
			t.Errorf("%s is in no package", dst)
		}
	}
	if len(p.Scripts) != 3 {
		t.Errorf("scripts %v", p.Scripts)
	}
	for kind, script := range p.Scripts {
		if _, err := os.Stat(filepath.Join(root, script)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
