package config

import (
	"github.com/goccy/go-yaml/ast"
)

// mergeKey is YAML 1.1's "<<": the keys of the mapping behind it count as if they stood here, after all others.
const mergeKey = "<<"

// entry is a key of a mapping with its value.
type entry struct {
	key     string
	keyNode ast.Node
	value   ast.Node
	merged  bool // came through mergeKey: what stands here itself wins
}

// entries lists the keys of a mapping: first those that stand in it, then those merged into it.
func (d *decoder) entries(path string, node ast.Node, depth int) []entry {
	node, depth = d.plain(path, node, depth)
	var values []*ast.MappingValueNode
	switch n := node.(type) {
	case nil:
		return nil
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.report.problem(d.origin(node), path, "is "+describe(node), "want keys with values")
		return nil
	}
	var own, merged []entry
	for _, v := range values {
		if d.entered++; d.entered > maxEntries {
			if d.entered == maxEntries+1 {
				d.report.problem(d.origin(v.Key), path, "too many keys", "want fewer aliases of aliases")
			}
			return append(own, merged...)
		}
		if v.Key.IsMergeKey() {
			own = append(own, entry{key: mergeKey, keyNode: v.Key, value: v.Value})
			if depth >= maxDepth {
				d.report.problem(d.origin(v.Key), path, "aliases nested too deeply", "")
				continue
			}
			merged = append(merged, d.merge(path, v.Value, depth+1)...)
			continue
		}
		name, ok := keyName(v.Key)
		if !ok {
			d.report.problem(d.origin(v.Key), path, "a key that is no plain text", "")
			continue
		}
		own = append(own, entry{key: name, keyNode: v.Key, value: v.Value})
	}
	return append(own, merged...)
}

// merge lists what a merge key brings: the keys of one mapping, or of each of a list of them.
func (d *decoder) merge(path string, node ast.Node, depth int) []entry {
	node, depth = d.plain(path, node, depth)
	sources := []ast.Node{node}
	if list, ok := node.(*ast.SequenceNode); ok {
		sources = list.Values
	}
	var all []entry
	for _, source := range sources {
		if source == nil {
			continue
		}
		for _, e := range d.entries(path, source, depth) {
			e.merged = true
			all = append(all, e)
		}
	}
	return all
}

// keyName is the text of a key, whatever type YAML gives it: a key 1 is unknown under the name "1".
func keyName(node ast.MapKeyNode) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case ast.ScalarNode:
		return n.GetToken().Value, true
	}
	return "", false
}
