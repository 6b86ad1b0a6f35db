package architecture

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEveryPackageIntroducesItself(t *testing.T) {
	for _, p := range goPackages(t) {
		if !strings.HasPrefix(p.dir, "internal/") && !strings.HasPrefix(p.dir, "test/") {
			continue
		}
		// A folder of tests alone may have its introduction in doc_test.go.
		i := slices.IndexFunc(p.files, func(f goFile) bool {
			name := filepath.Base(f.path)
			return name == "doc.go" || (p.underTest() && name == "doc_test.go")
		})
		switch {
		case i < 0:
			t.Errorf("%s has no doc.go", p.dir)
		case !strings.HasPrefix(p.files[i].doc, "Package "+p.name+" "):
			t.Errorf("%s has no comment that starts with %q", p.files[i].path, "Package "+p.name)
		}
	}
}

func TestNoFileNamesAPlaceThatOnlyOneMachineHas(t *testing.T) {
	// Put together here, so that this file doesn't name them itself. A registry is Go's, npm's or Python's business,
	// set where the build runs; a path of a workplace is nobody's.
	registries := []string{
		"proxy.golang" + ".org", "sum.golang" + ".org", "registry.npmjs" + ".org", "registry.yarnpkg" + ".com",
		"pypi" + ".org", "files.pythonhosted" + ".org", "static.crates" + ".io", "rubygems" + ".org",
	}
	workplaces := []string{"/work/" + "main", "/work/" + "shared", "/work/" + ".", "/tmp/" + "mf/", "/root/" + "go/"}

	checked := 0
	for _, path := range treeFiles(t) {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			if os.IsNotExist(err) {
				continue
			}
			t.Fatal(err)
		}
		checked++
		forbidden := workplaces
		if !strings.HasPrefix(path, "docs/") && !slices.Contains(strings.Split(path, "/"), "testdata") {
			forbidden = slices.Concat(workplaces, registries)
		}
		text := string(data)
		for _, word := range forbidden {
			if at := strings.Index(text, word); at >= 0 {
				t.Errorf("%s:%d names %s", path, 1+strings.Count(text[:at], "\n"), word)
			}
		}
	}
	if checked < 20 {
		t.Fatalf("only %d files found: the test looks in the wrong place", checked)
	}
}
