package packer

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// runners is the folder of the templates, seen from here.
const runners = "../../runners"

// images are the folders with a template.
var images = []string{"ubuntu-2204", "ubuntu-2404"}

// template is one file ubuntu-*-runner-iso.pkr.hcl.
type template struct {
	t         *testing.T
	path      string
	body      *hclsyntax.Body
	variables map[string]*hclsyntax.Block
	locals    map[string]hclsyntax.Expression
}

// inEvery runs a test on every template.
func inEvery(t *testing.T, test func(*testing.T, *template)) {
	t.Helper()
	for _, image := range images {
		t.Run(image, func(t *testing.T) { test(t, load(t, image)) })
	}
}

func load(t *testing.T, image string) *template {
	t.Helper()
	tpl := &template{
		t: t, path: filepath.Join(runners, image, image+"-runner-iso.pkr.hcl"),
		variables: map[string]*hclsyntax.Block{}, locals: map[string]hclsyntax.Expression{},
	}
	tpl.body = parse(t, tpl.path)
	for _, block := range tpl.body.Blocks {
		switch block.Type {
		case "variable":
			tpl.variables[block.Labels[0]] = block
		case "locals":
			for name, attribute := range block.Body.Attributes {
				tpl.locals[name] = attribute.Expr
			}
		}
	}
	return tpl
}

func parse(t *testing.T, path string) *hclsyntax.Body {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file, problems := hclsyntax.ParseConfig(text, path, hcl.InitialPos)
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		t.Fatalf("%s: %T", path, file.Body)
	}
	return body
}

// blocks are the blocks of a type.
func blocks(body *hclsyntax.Body, kind string) []*hclsyntax.Block {
	var found []*hclsyntax.Block
	for _, block := range body.Blocks {
		if block.Type == kind {
			found = append(found, block)
		}
	}
	return found
}

// only is the one block of a type, wherever it has to be one.
func (tpl *template) only(body *hclsyntax.Body, kind string) *hclsyntax.Block {
	tpl.t.Helper()
	found := blocks(body, kind)
	if len(found) != 1 {
		tpl.t.Fatalf("%s: %d blocks %s, want one", tpl.path, len(found), kind)
	}
	return found[0]
}

// builtOn is what timestamp() says in these tests.
const builtOn = "2026-11-24T04:10:00Z"

// functions are those of Packer that the templates use.
var functions = map[string]function.Function{
	"can": tryfunc.CanFunc, "regex": stdlib.RegexFunc, "jsonencode": stdlib.JSONEncodeFunc, "formatdate": stdlib.FormatDateFunc,
	"tostring": stdlib.MakeToFunc(cty.String),
	"timestamp": function.New(&function.Spec{
		Type: function.StaticReturnType(cty.String),
		Impl: func([]cty.Value, cty.Type) (cty.Value, error) { return cty.StringVal(builtOn), nil },
	}),
}

// given are sound values of the required variables.
func given() map[string]cty.Value {
	return map[string]cty.Value{
		"proxmox_url":       cty.StringVal("https://pve1.example.org:8006/api2/json"),
		"proxmox_username":  cty.StringVal("mayfly-image@pve!build"),
		"proxmox_token":     cty.StringVal("00000000-0000-0000-0000-000000000000"),
		"proxmox_node":      cty.StringVal("pve1"),
		"ssh_password":      cty.StringVal("only while it builds"),
		"ssh_password_hash": cty.StringVal("$6$salt$hash.of.it/"),
	}
}

// scope is what expressions of the template see when the variables have these values, else their defaults.
func (tpl *template) scope(values map[string]cty.Value) *hcl.EvalContext {
	tpl.t.Helper()
	vars := map[string]cty.Value{}
	for name, block := range tpl.variables {
		if value, ok := values[name]; ok {
			vars[name] = value
		} else if attribute := block.Body.Attributes["default"]; attribute != nil {
			vars[name] = tpl.evaluate(attribute.Expr, &hcl.EvalContext{Functions: functions})
		}
	}
	locals := map[string]cty.Value{}
	scope := &hcl.EvalContext{Functions: functions, Variables: map[string]cty.Value{
		"var": cty.ObjectVal(vars), "local": cty.EmptyObjectVal,
		"path": cty.ObjectVal(map[string]cty.Value{"root": cty.StringVal(filepath.Dir(tpl.path))}),
	}}
	// They name each other, in any order.
	for len(locals) < len(tpl.locals) {
		before := len(locals)
		for name, expression := range tpl.locals {
			if _, done := locals[name]; done {
				continue
			}
			if value, problems := expression.Value(scope); !problems.HasErrors() {
				locals[name] = value
				scope.Variables["local"] = cty.ObjectVal(locals)
			} else if before == len(tpl.locals)-1 {
				tpl.t.Fatal(problems)
			}
		}
		if len(locals) == before {
			tpl.t.Fatalf("%s: locals that can't be evaluated: %d of %d", tpl.path, len(tpl.locals)-before, len(tpl.locals))
		}
	}
	return scope
}

func (tpl *template) evaluate(expression hclsyntax.Expression, scope *hcl.EvalContext) cty.Value {
	tpl.t.Helper()
	value, problems := expression.Value(scope)
	if problems.HasErrors() {
		tpl.t.Fatal(problems)
	}
	return value
}

// argument is the value of a block's argument.
func (tpl *template) argument(block *hclsyntax.Block, name string, scope *hcl.EvalContext) cty.Value {
	tpl.t.Helper()
	attribute := block.Body.Attributes[name]
	if attribute == nil {
		tpl.t.Fatalf("%s: block %s has no %s", tpl.path, block.Type, name)
	}
	return tpl.evaluate(attribute.Expr, scope)
}
