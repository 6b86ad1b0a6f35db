package contract_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// shape is a JSON value's form: "string", "number", "boolean", "null", or the forms of its fields or elements.
type shape struct {
	kind   string
	fields map[string]shape // of an object
	item   *shape           // of a list: all its elements in one; nil for an empty list
}

func shapeOf(v any) shape {
	switch v := v.(type) {
	case map[string]any:
		s := shape{kind: "object", fields: map[string]shape{}}
		for k, e := range v {
			s.fields[k] = shapeOf(e)
		}
		return s
	case []any:
		s := shape{kind: "list"}
		for _, e := range v {
			one := shapeOf(e)
			if s.item == nil {
				s.item = &one
				continue
			}
			both := merge(*s.item, one)
			s.item = &both
		}
		return s
	case string:
		return shape{kind: "string"}
	case json.Number, float64:
		return shape{kind: "number"}
	case bool:
		return shape{kind: "boolean"}
	}
	return shape{kind: "null"}
}

// merge is the form of either of two elements of a list.
func merge(a, b shape) shape {
	if a.kind != b.kind {
		kinds := append(strings.Split(a.kind, " or "), strings.Split(b.kind, " or ")...)
		slices.Sort(kinds)
		return shape{kind: strings.Join(slices.Compact(kinds), " or ")}
	}
	if a.kind == "object" {
		out := shape{kind: a.kind, fields: maps.Clone(a.fields)}
		for k, e := range b.fields {
			if old, both := out.fields[k]; both {
				e = merge(old, e)
			}
			out.fields[k] = e
		}
		return out
	}
	if a.item == nil {
		return b
	}
	return a
}

// differences compares a recorded form with the stand-in's. loose fields may be on one side only, as they depend on what
// the machine holds; a field on both sides has one type always.
func differences(path string, want, got shape, loose func(path string) bool) []string {
	if want.kind != got.kind {
		return []string{fmt.Sprintf("%s is %s, recorded %s", path, got.kind, want.kind)}
	}
	if want.kind == "list" && want.item != nil && got.item != nil {
		return differences(path+"[]", *want.item, *got.item, loose)
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(want.fields)) {
		e, there := got.fields[k]
		switch {
		case there:
			out = append(out, differences(path+"."+k, want.fields[k], e, loose)...)
		case !loose(path + "." + k):
			out = append(out, path+"."+k+" is missing")
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got.fields)) {
		if _, there := want.fields[k]; !there && !loose(path+"."+k) {
			out = append(out, path+"."+k+" was not recorded")
		}
	}
	return out
}
