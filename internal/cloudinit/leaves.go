package cloudinit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// style is how a scalar is written.
type style int

const (
	notScalar style = iota // a mapping, a sequence, an alias
	plainScalar
	singleQuoted
	doubleQuoted
	block // literal | or folded >
)

// leaf is one thing of a YAML document, in the order of the text. Documents with equal leaves mean the same.
type leaf struct {
	path  string // for people: runcmd[0][4]
	what  string // "string", "key", "mapping of 3", "Integer", …
	text  string // of a scalar, as it is meant
	tag   string // an explicit one
	style style
	line  int
}

// same reports whether two leaves mean the same, wherever and however they are written.
func (l leaf) same(m leaf) bool {
	return l.path == m.path && l.what == m.what && l.text == m.text && l.tag == m.tag
}

const (
	anchorLeaf = "anchor"
	aliasLeaf  = "alias"
	maxDepth   = 100
)

// checkMarkup finds what this parser lets pass and cloud-init's (PyYAML's SafeLoader) stops at: aliases of anchors that
// don't come before them, and tags of an application's own.
func checkMarkup(leaves []leaf) []Problem {
	var problems []Problem
	anchors := map[string]bool{}
	for _, l := range leaves {
		switch {
		case l.what == anchorLeaf:
			anchors[l.text] = true
		case l.what == aliasLeaf && !anchors[l.text]:
			problems = append(problems, Problem{l.line, fmt.Sprintf("the alias *%s has no anchor &%[1]s before it; a string that begins with * needs quotes", l.text)})
		}
		if strings.HasPrefix(l.tag, "!") && !strings.HasPrefix(l.tag, "!!") && l.what != anchorLeaf {
			problems = append(problems, Problem{l.line, fmt.Sprintf("cloud-init knows no tag %s; a string that begins with ! needs quotes", l.tag)})
		}
	}
	return problems
}

// readYAML parses one document that is a mapping.
func readYAML(text string) (*ast.MappingNode, []Problem) {
	file, err := parse(text)
	if err != nil {
		return nil, []Problem{notYAML(err)}
	}
	var root ast.Node
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case root != nil:
			return nil, []Problem{{lineOf(doc.Body), "a second document; want one"}}
		default:
			root = doc.Body
		}
	}
	switch n := root.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return nil, []Problem{{0, "has no content; want cloud-config's keys, for example runcmd:"}}
	case *ast.MappingNode:
		return n, nil
	case *ast.MappingValueNode:
		return ast.Mapping(n.GetToken(), false, n), nil
	default:
		return nil, []Problem{{lineOf(root), "is " + nameOf(root) + "; want a mapping of cloud-config's keys, for example runcmd:"}}
	}
}

// parse parses YAML; a panic of the parser over odd input is an error like any other.
func parse(text string) (file *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the parser gives up on it")
		}
	}()
	return parser.ParseBytes([]byte(text), 0)
}

func notYAML(err error) Problem {
	var syntax yaml.Error
	if errors.As(err, &syntax) {
		line := 0
		if t := syntax.GetToken(); t != nil && t.Position != nil {
			line = t.Position.Line
		}
		return Problem{line, "not YAML: " + syntax.GetMessage()}
	}
	return Problem{0, "not YAML: " + err.Error()}
}

// leavesOf lists a document's leaves. It fails on what is nested deeper than anybody writes.
func leavesOf(root ast.Node) ([]leaf, error) {
	l := lister{}
	l.add(root, "", "", 0)
	if l.tooDeep {
		return nil, fmt.Errorf("nested deeper than %d", maxDepth)
	}
	return l.leaves, nil
}

type lister struct {
	leaves  []leaf
	tooDeep bool
}

func (l *lister) add(n ast.Node, path, tag string, depth int) {
	if depth > maxDepth {
		l.tooDeep = true
		return
	}
	switch n := n.(type) {
	case nil:
		l.leaves = append(l.leaves, leaf{path: path, what: "nothing"})
	case *ast.MappingNode:
		l.note(n, path, tag, fmt.Sprintf("mapping of %d", len(n.Values)))
		for _, v := range n.Values {
			l.addPair(v, path, depth)
		}
	case *ast.MappingValueNode:
		l.note(n, path, tag, "mapping of 1")
		l.addPair(n, path, depth)
	case *ast.SequenceNode:
		l.note(n, path, tag, fmt.Sprintf("sequence of %d", len(n.Values)))
		for i, v := range n.Values {
			l.add(v, fmt.Sprintf("%s[%d]", path, i), "", depth+1)
		}
	case *ast.AnchorNode:
		l.leaves = append(l.leaves, leaf{path: path, what: anchorLeaf, text: n.Name.String(), tag: tag, line: lineOf(n)})
		l.add(n.Value, path, tag, depth+1)
	case *ast.TagNode:
		l.add(n.Value, path, n.Start.Value, depth+1)
	case *ast.AliasNode:
		l.leaves = append(l.leaves, leaf{path: path, what: aliasLeaf, text: n.Value.String(), tag: tag, line: lineOf(n)})
	case *ast.StringNode:
		l.leaves = append(l.leaves, leaf{path, "string", n.Value, tag, styleOf(n.Token), lineOf(n)})
	case *ast.LiteralNode:
		l.leaves = append(l.leaves, leaf{path, "string", n.Value.Value, tag, block, lineOf(n)})
	case ast.ScalarNode:
		l.leaves = append(l.leaves, leaf{path, n.Type().String(), n.GetToken().Value, tag, plainScalar, lineOf(n)})
	default:
		l.note(n, path, tag, n.Type().String())
	}
}

func (l *lister) note(n ast.Node, path, tag, what string) {
	l.leaves = append(l.leaves, leaf{path: path, what: what, tag: tag, line: lineOf(n)})
}

func (l *lister) addPair(n *ast.MappingValueNode, path string, depth int) {
	key := keyOf(n)
	l.leaves = append(l.leaves, leaf{path: path, what: "key", text: key, style: plainScalar, line: lineOf(n.Key)})
	if path != "" {
		path += "."
	}
	l.add(n.Value, path+key, "", depth+1)
}

// keyOf returns a mapping's key as text.
func keyOf(n *ast.MappingValueNode) string {
	switch k := n.Key.(type) {
	case *ast.StringNode:
		return k.Value
	case *ast.MappingKeyNode:
		return strings.TrimSpace(fmt.Sprint(k.Value))
	case nil:
		return ""
	default:
		return k.String()
	}
}

func styleOf(t *token.Token) style {
	switch t.Type {
	case token.SingleQuoteType:
		return singleQuoted
	case token.DoubleQuoteType:
		return doubleQuoted
	}
	return plainScalar
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

// nameOf names a node for people.
func nameOf(n ast.Node) string {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.BoolNode:
		return n.String()
	case *ast.IntegerNode:
		return "the number " + strconv.Quote(n.GetToken().Value)
	case *ast.FloatNode:
		return "the number " + strconv.Quote(n.GetToken().Value)
	default:
		return "a string"
	}
}
