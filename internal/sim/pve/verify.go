package pve

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

var (
	integerForm = regexp.MustCompile(`^[+-]?\d+\n?$`)
	numberForm  = regexp.MustCompile(`^[+-]?(\d+\.\d+|\d+\.|\.\d+|\d+)([eE][+-]?\d+)?\n?$`)
)

// verify checks a call's parameters against its schema with Proxmox's rules and words (PVE::JSONSchema). It may change
// p: a list given as an array becomes a string, a scalar given for an array becomes one element.
func (s *schemaType) verify(p params) *apiError {
	s.coerce(p)
	errs := fieldErrors{}
	s.checkObject("", p, errs)
	if len(errs) > 0 {
		return badParams(errs)
	}
	s.settle(p)
	return nil
}

// coerce joins arrays where a "-list" format is expected and wraps scalars where an array is (RESTHandler.pm).
func (s *schemaType) coerce(p params) {
	for k, v := range p {
		prop := s.Properties[k]
		if prop == nil {
			continue
		}
		list, isList := v.([]any)
		switch {
		case isList && prop.Type == "string" && strings.HasSuffix(prop.format, "-list"):
			parts := make([]string, len(list))
			for i, e := range list {
				parts[i] = fmt.Sprint(e)
			}
			p[k] = strings.Join(parts, "\x00")
		case !isList && prop.Type == "array" && v != nil:
			if _, isMap := v.(map[string]any); !isMap {
				p[k] = []any{v}
			}
		}
	}
}

// settle turns JSON's booleans into the 1 and 0 that Perl code sees, after they were checked.
func (s *schemaType) settle(p params) {
	for k, v := range p {
		if v, ok := v.(bool); ok {
			p[k] = "0"
			if v {
				p[k] = "1"
			}
		}
	}
}

func join(path, k string) string {
	if path == "" {
		return k
	}
	return path + "." + k
}

func (s *schemaType) checkObject(path string, value map[string]any, errs fieldErrors) {
	checkFields(path, s.Properties, value, errs)
}

// checkFields checks value's fields against props, none else allowed.
func checkFields(path string, props map[string]*schemaType, value map[string]any, errs fieldErrors) {
	for _, k := range slices.Sorted(maps.Keys(props)) {
		props[k].checkProp(join(path, k), value[k], errs)
	}
	for _, k := range slices.Sorted(maps.Keys(value)) {
		prop := props[k]
		if prop == nil {
			errs.add(join(path, k), "property is not defined in schema and the schema does not allow additional properties")
			continue
		}
		if prop.Requires != "" && value[prop.Requires] == nil {
			errs.add(join(path, prop.Requires), "missing property required by '%s'", join(path, k))
		}
	}
}

func (s *schemaType) checkProp(path string, v any, errs fieldErrors) {
	if s.Alias != "" {
		return
	}
	if v == nil {
		if !s.Optional && s.Type != "null" {
			errs.add(path, "property is missing and it is not optional")
		}
		return
	}
	if !s.checkType(path, v, errs) {
		return
	}
	switch v := v.(type) {
	case []any:
		if s.Items != nil {
			for i, e := range v {
				s.Items.checkProp(fmt.Sprintf("%s[%d]", path, i), e, errs)
			}
		}
	case map[string]any:
		s.checkObject(path, v, errs)
	case bool:
	default:
		s.checkScalar(path, scalar(v), errs)
	}
}

// scalar is a value as Perl would stringify it.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return fmt.Sprint(v)
}

func (s *schemaType) checkType(path string, v any, errs fieldErrors) bool {
	switch v.(type) {
	case []any:
		if s.Type == "array" || s.Type == "any" {
			return true
		}
		errs.add(path, "type check ('%s') failed%s", s.Type, gotRef(s.Type, "ARRAY"))
		return false
	case map[string]any:
		if s.Type == "object" || s.Type == "any" {
			return true
		}
		errs.add(path, "type check ('%s') failed%s", s.Type, gotRef(s.Type, "HASH"))
		return false
	case bool:
		if s.Type == "boolean" || s.Type == "any" {
			return true
		}
		errs.add(path, "type check ('%s') failed%s", s.Type, gotRef(s.Type, "JSON::PP::Boolean"))
		return false
	}
	text := scalar(v)
	ok := true
	switch s.Type {
	case "array", "object":
		errs.add(path, "type check ('%s') failed", s.Type)
		return false
	case "null":
		errs.add(path, "type check ('null') failed - value is not null")
		return false
	case "boolean":
		ok = text == "0" || text == "1"
	case "integer":
		ok = integerForm.MatchString(text)
	case "number":
		ok = numberForm.MatchString(text)
	}
	if !ok {
		errs.add(path, "type check ('%s') failed - got '%s'", s.Type, text)
	}
	return ok
}

// gotRef is the end of a type error for a reference; arrays and objects are told apart less precisely.
func gotRef(want, got string) string {
	if want == "array" || want == "object" {
		return ""
	}
	return " - got " + got
}

func (s *schemaType) checkScalar(path, v string, errs fieldErrors) {
	if s.format != "" || s.fields != nil {
		if text := s.checkFormat(path, v); text != "" {
			errs.add(path, "invalid format - %s", text)
			return
		}
	}
	if s.pattern != nil && !s.pattern.MatchString(v) {
		errs.add(path, "value does not match the regex pattern")
		return
	}
	if s.MaxLength != nil && utf8.RuneCountInString(v) > *s.MaxLength {
		errs.add(path, "value may only be %d characters long", *s.MaxLength)
		return
	}
	if s.MinLength != nil && utf8.RuneCountInString(v) < *s.MinLength {
		errs.add(path, "value must be at least %d characters long", *s.MinLength)
		return
	}
	if n := parseNumber(v); n != nil {
		if s.Maximum != nil && n.Cmp(parseNumber(s.Maximum.String())) > 0 {
			errs.add(path, "value must have a maximum value of %s", *s.Maximum)
			return
		}
		if s.Minimum != nil && n.Cmp(parseNumber(s.Minimum.String())) < 0 {
			errs.add(path, "value must have a minimum value of %s", *s.Minimum)
			return
		}
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		errs.add(path, "value '%s' does not have a value in the enumeration '%s'", v, strings.Join(s.Enum, ", "))
	}
}

// parseNumber reads a number of any size exactly; nil when v isn't one.
func parseNumber(v string) *big.Float {
	if !numberForm.MatchString(v) {
		return nil
	}
	f, _, err := big.ParseFloat(strings.TrimSuffix(strings.TrimPrefix(v, "+"), "\n"), 10, 200, big.ToNearestEven)
	if err != nil {
		return nil // an exponent beyond all measure
	}
	return f
}
