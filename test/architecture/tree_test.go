package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// root is the checkout, seen from this folder.
const root = "../.."

// goFile is one Go file with what it imports.
type goFile struct {
	path    string // from the root, with slashes
	test    bool
	imports []string
	doc     string // the package comment in this file; "" for none
}

// goPackage is a folder with Go files.
type goPackage struct {
	dir   string // from the root: "internal/runner"
	name  string
	files []goFile
}

// underTest reports whether the package exists for tests alone.
func (p goPackage) underTest() bool { return p.dir == "test" || strings.HasPrefix(p.dir, "test/") }

// goPackages parses every Go file of the tree.
func goPackages(t *testing.T) []goPackage {
	t.Helper()
	byDir := map[string]*goPackage{}
	for _, path := range treeFiles(t) {
		if !strings.HasSuffix(path, ".go") || slices.Contains(strings.Split(path, "/"), "testdata") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			t.Fatalf("parse %s: %v", path, err)
		}
		f := goFile{path: path, test: strings.HasSuffix(path, "_test.go"), doc: commentText(parsed.Doc)}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatalf("parse %s: import %s: %v", path, spec.Path.Value, err)
			}
			f.imports = append(f.imports, name)
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		if byDir[dir] == nil {
			byDir[dir] = &goPackage{dir: dir}
		}
		p := byDir[dir]
		if !f.test || p.name == "" {
			p.name = strings.TrimSuffix(parsed.Name.Name, "_test")
		}
		p.files = append(p.files, f)
	}
	var packages []goPackage
	for _, p := range byDir {
		packages = append(packages, *p)
	}
	sort.Slice(packages, func(i, j int) bool { return packages[i].dir < packages[j].dir })
	return packages
}

func commentText(doc *ast.CommentGroup) string {
	if doc == nil {
		return ""
	}
	return doc.Text()
}

// treeFiles lists the regular files of the checkout, without what git ignores by our own .gitignore (bin, dist) and
// git's own folder.
func treeFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) { // a file that another test made and removed meanwhile
				return nil
			}
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case ".git", "bin", "dist", "node_modules":
				return filepath.SkipDir
			}
			return nil
		}
		if entry.Type().IsRegular() && entry.Name() != ".git" { // of a linked worktree it is a file
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			files = append(files, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
