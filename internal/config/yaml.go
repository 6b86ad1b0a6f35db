package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"mayfly/internal/runner"
)

// Limits that only a mistake or malice exceeds.
const (
	maxFileSize = 256 << 10
	maxDepth    = 20 // nested aliases
	maxEntries  = 20_000
)

// A key that is longer than longestKey isn't shown in full: Proxmox's secrets have 36 characters, GitHub's 40 and more.
const (
	longestKey = 32
	shownOfKey = 8
)

// readYAML decodes mayfly.yaml into file. It reports every unknown key and every value of a wrong type with its place,
// and records where each value stands. It returns false when the text isn't YAML at all.
func readYAML(name string, text []byte, file *File, origins Origins, r *report) bool {
	whole := Origin{Kind: FromFile, File: name}
	if len(text) > maxFileSize {
		r.problem(whole, "", fmt.Sprintf("has %d bytes", len(text)), fmt.Sprintf("want at most %d", maxFileSize))
		return false
	}
	tree, err := parse(text)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil && syntax.GetToken().Position != nil {
			at := syntax.GetToken().Position
			whole.Line, whole.Column = at.Line, at.Column
			r.problem(whole, "", "not YAML: "+syntax.GetMessage(), "")
		} else {
			r.problem(whole, "", "not YAML: "+err.Error(), "")
		}
		return false
	}
	d := &decoder{name: name, origins: origins, report: r, anchors: map[*ast.AliasNode]ast.Node{}}
	var docs []ast.Node
	for _, doc := range tree.Docs {
		if doc.Body != nil {
			docs = append(docs, doc.Body)
		}
	}
	switch len(docs) {
	case 0:
		return true
	case 1:
	default:
		r.problem(d.origin(docs[1]), "", "a second document", "want one document")
		return false
	}
	if _, empty := docs[0].(*ast.NullNode); empty {
		return true
	}
	ast.Walk(&anchorWalk{d: d, named: map[string]ast.Node{}}, docs[0])
	d.group("", reflect.ValueOf(file).Elem(), docs[0], 0)
	return true
}

// parse parses YAML; a panic of the parser over odd input is an error like any other.
func parse(text []byte) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the parser gives up on it")
		}
	}()
	return parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey()) // the decoder reports duplicates itself, with all else
}

// decoder writes a YAML tree into a File.
type decoder struct {
	name    string
	origins Origins
	report  *report
	anchors map[*ast.AliasNode]ast.Node // what each alias stands for
	entered int                         // keys looked at: merged aliases of merged aliases multiply
}

// anchorWalk finds, in document order, what each alias stands for: the last anchor of that name before it.
type anchorWalk struct {
	d     *decoder
	named map[string]ast.Node
}

// Visit implements ast.Visitor.
func (w *anchorWalk) Visit(node ast.Node) ast.Visitor {
	switch n := node.(type) {
	case *ast.AnchorNode:
		w.named[n.Name.String()] = n.Value
	case *ast.AliasNode:
		if target, ok := w.named[n.Value.String()]; ok {
			w.d.anchors[n] = target
		}
	}
	return w
}

// plain takes anchors and aliases away. It returns nil, and has reported why, when nothing is left.
func (d *decoder) plain(path string, node ast.Node, depth int) (ast.Node, int) {
	for ; depth < maxDepth; depth++ {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
		case *ast.AliasNode:
			target, ok := d.anchors[n]
			if !ok {
				d.report.problem(d.origin(n), path, "no anchor of this name before the alias", "")
				return nil, depth
			}
			node = target
		case *ast.TagNode:
			d.report.problem(d.origin(n), path, fmt.Sprintf("tag %s", n.Start.Value), "want the value without a tag")
			return nil, depth
		case nil:
			return nil, depth
		default:
			return node, depth
		}
	}
	d.report.problem(d.origin(node), path, "aliases nested too deeply", "")
	return nil, depth
}

// group decodes a mapping into a struct.
func (d *decoder) group(path string, v reflect.Value, node ast.Node, depth int) {
	seen := map[string]bool{}
	for _, e := range d.entries(path, node, depth) {
		if e.key == mergeKey {
			continue
		}
		at := dot(path, e.key)
		field, ok := fieldOf(v, e.key)
		switch {
		case !ok:
			want := "keys here: " + strings.Join(keyNames(v.Type()), ", ")
			if near, ok := nearest(e.key, keyNames(v.Type())); ok {
				want = fmt.Sprintf("did you mean %q?", near)
			}
			// Longer than any key: a secret that stands where its key belongs, perhaps.
			if len(e.key) > longestKey {
				at = dot(path, strings.ToValidUTF8(e.key[:shownOfKey], "")+"…")
			}
			d.report.problem(d.origin(e.keyNode), at, "unknown key", want)
		case seen[e.key]:
			if !e.merged {
				d.report.problem(d.origin(e.keyNode), at, "the key stands here a second time", "want it once")
			}
		default:
			seen[e.key] = true
			d.value(key{at, field, v.FieldByIndex(field.Index)}, e, depth)
		}
	}
}

// value decodes what stands at a key.
func (d *decoder) value(k key, e entry, depth int) {
	node, depth := d.plain(k.path, e.value, depth)
	if node == nil {
		d.origins[k.path] = d.origin(e.keyNode)
		return
	}
	if _, null := node.(*ast.NullNode); null {
		d.origins[k.path] = d.origin(e.keyNode)
		d.report.problem(d.origin(e.keyNode), k.path, "no value", k.wantType()+", or leave the key out")
		return
	}
	switch {
	case isGroup(k.field.Type):
		d.group(k.path, k.value, node, depth+1)
	case k.field.Type.Kind() == reflect.Slice:
		d.origins[k.path] = d.origin(e.keyNode)
		d.list(k, node, depth+1)
	default:
		d.origins[k.path] = d.origin(node)
		d.scalar(k, node)
	}
}

// list decodes a sequence of texts or of groups.
func (d *decoder) list(k key, node ast.Node, depth int) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		d.report.problem(d.origin(node), k.path, "is "+describe(node), k.wantType())
		return
	}
	list := reflect.MakeSlice(k.field.Type, len(sequence.Values), len(sequence.Values))
	for i, value := range sequence.Values {
		at := index(k.path, i)
		d.origins[at] = d.origin(value)
		element, depth := d.plain(at, value, depth)
		if element == nil {
			continue
		}
		if isGroupList(k.field.Type) {
			d.group(at, list.Index(i), element, depth+1)
		} else {
			d.scalar(key{at, k.field, list.Index(i)}, element)
		}
	}
	k.value.Set(list)
}

// scalar decodes one value; YAML's type must be the key's.
func (d *decoder) scalar(k key, node ast.Node) {
	var text string
	fits := false
	switch n := node.(type) {
	case *ast.StringNode:
		text, fits = n.Value, true
		switch k.value.Interface().(type) {
		case int, bool:
			fits = false
		}
	case *ast.LiteralNode:
		text = n.Value.Value
		_, secret := k.value.Interface().(runner.Secret)
		_, plain := k.value.Interface().(string)
		fits = secret || plain
	case *ast.IntegerNode:
		text = fmt.Sprint(n.Value)
		switch k.value.Interface().(type) {
		case int, Duration:
			fits = true
		}
	case *ast.BoolNode:
		text = strconv.FormatBool(n.Value)
		_, fits = k.value.Interface().(bool)
	}
	if !fits {
		want := k.wantType()
		if _, scalar := node.(ast.ScalarNode); scalar && k.value.Kind() == reflect.String {
			want += "; put it in quotes if it is meant"
		}
		d.report.problem(d.origin(node), k.path, "is "+describe(node), want)
		return
	}
	if wrong, want := k.setText(text); wrong != "" {
		d.report.problem(d.origin(node), k.path, wrong, want)
	}
}

// wantType says what kind of value the key takes.
func (k key) wantType() string {
	switch k.value.Interface().(type) {
	case string:
		if f, ok := formOf(k.tag("form")); ok {
			return f.want
		}
		return k.wantOneOf()
	case runner.Secret:
		return "want the token itself, in quotes"
	case bool:
		return "want true or false"
	case []string:
		return "want a list of texts"
	case []FilePool:
		return "want a list of pools"
	}
	if isGroup(k.field.Type) {
		return "want keys: " + strings.Join(keyNames(k.field.Type), ", ")
	}
	return k.wantRange()
}

// describe says what a node is, without its value: it may be a secret at the wrong place.
func describe(node ast.Node) string {
	switch node.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "a text"
	case *ast.IntegerNode:
		return "a whole number"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a fraction"
	case *ast.BoolNode:
		return "a boolean"
	case *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a group of keys"
	case *ast.SequenceNode:
		return "a list"
	}
	return "something else"
}

// origin is where a node stands.
func (d *decoder) origin(node ast.Node) Origin {
	o := Origin{Kind: FromFile, File: d.name}
	if node == nil {
		return o
	}
	if mapping, ok := node.(*ast.MappingNode); ok && !mapping.IsFlowStyle && len(mapping.Values) > 0 {
		node = mapping.Values[0].Key
	}
	if tk := node.GetToken(); tk != nil && tk.Position != nil {
		o.Line, o.Column = tk.Position.Line, tk.Position.Column
	}
	return o
}

func fieldOf(v reflect.Value, name string) (reflect.StructField, bool) {
	return v.Type().FieldByNameFunc(func(field string) bool {
		f, _ := v.Type().FieldByName(field)
		return f.Tag.Get("yaml") == name
	})
}

// keyNames lists the keys of a group.
func keyNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Tag.Get("yaml")
	}
	return names
}
