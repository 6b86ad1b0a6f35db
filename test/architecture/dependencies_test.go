package architecture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// dependencyLine is a row of docs/dependencies.md: | `module` | version | what for | why not our own |.
var dependencyLine = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (v[^ ]+) \\| ([^|]+) \\| ([^|]+) \\|$")

// requireLine is a module of go.mod with its version.
var requireLine = regexp.MustCompile(`(?m)^\s*(?:require )?([a-z0-9.-]+\.[a-z]+[^ ]*) (v\S+)`)

func TestEveryDependencyIsAccountedFor(t *testing.T) {
	required := map[string]string{}
	for _, m := range requireLine.FindAllStringSubmatch(read(t, "go.mod"), -1) {
		required[m[1]] = m[2]
	}
	documented := map[string]string{}
	for _, m := range dependencyLine.FindAllStringSubmatch(read(t, "docs/dependencies.md"), -1) {
		documented[m[1]] = m[2]
	}

	imported := map[string]string{} // module → a file that imports it
	for _, p := range goPackages(t) {
		for _, f := range p.files {
			for _, path := range f.imports {
				if strings.HasPrefix(path, "mayfly/") || !strings.Contains(strings.Split(path, "/")[0], ".") {
					continue
				}
				module := moduleOf(required, path)
				if module == "" {
					t.Errorf("%s imports %s, which no module of go.mod provides", f.path, path)
					continue
				}
				imported[module] = f.path
			}
		}
	}
	for module, file := range imported {
		switch documented[module] {
		case required[module]:
		case "":
			t.Errorf("%s (imported by %s) has no line in docs/dependencies.md", module, file)
		default:
			t.Errorf("docs/dependencies.md says %s %s, go.mod %s", module, documented[module], required[module])
		}
	}
	for module := range documented {
		if imported[module] == "" {
			t.Errorf("docs/dependencies.md explains %s, which nothing imports", module)
		}
	}
	if len(imported) == 0 {
		t.Fatal("no dependencies found: the test looks in the wrong place")
	}
}

// moduleOf is the longest module path of go.mod that is a prefix of the package path.
func moduleOf(required map[string]string, path string) string {
	longest := ""
	for module := range required {
		if (path == module || strings.HasPrefix(path, module+"/")) && len(module) > len(longest) {
			longest = module
		}
	}
	return longest
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
