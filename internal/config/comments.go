package config

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// comments reads the comments of the types in the files that describe mayfly.yaml: by type name, and by type name, dot,
// field name.
func comments() map[string]string {
	texts := map[string]string{}
	for _, source := range []string{fileSource, fileImageSource, fileBootstrapSource, fileLeaseSource, filePlacementSource} {
		readComments(source, texts)
	}
	return texts
}

func readComments(source string, texts map[string]string) {
	tree, err := parser.ParseFile(token.NewFileSet(), "", source, parser.ParseComments)
	if err != nil {
		panic(fmt.Sprintf("config: parse comments: %v", err)) // it was compiled
	}
	for _, decl := range tree.Decls {
		types, ok := decl.(*ast.GenDecl)
		if !ok || types.Tok != token.TYPE {
			continue
		}
		for _, spec := range types.Specs {
			named, _ := spec.(*ast.TypeSpec)
			if named == nil {
				continue
			}
			texts[named.Name.Name] = flat(types.Doc.Text())
			fields, ok := named.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, f := range fields.Fields.List {
				for _, name := range f.Names {
					texts[named.Name.Name+"."+name.Name] = flat(f.Doc.Text())
				}
			}
		}
	}
}

// flat makes one line of a comment.
func flat(s string) string { return strings.Join(strings.Fields(s), " ") }
