package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"

	"mayfly/internal/runner"
)

// Show writes what is in force as a mayfly.yaml that means the same, secrets as "***". With origins each line ends in
// a comment that says where the value came from.
func Show(w io.Writer, c *Config, origins Origins, withOrigins bool) error {
	s := shower{origins: origins, withOrigins: withOrigins}
	s.group("", "", "", reflect.ValueOf(fileOf(c)).Elem())
	_, err := w.Write(s.out.Bytes())
	return err
}

type shower struct {
	out         bytes.Buffer
	origins     Origins
	withOrigins bool
}

// group writes the keys of a struct; first is what stands before the first of them in place of the indentation.
func (s *shower) group(path, indent, first string, v reflect.Value) {
	lead := first
	if lead == "" {
		lead = indent
	}
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		name := field.Tag.Get("yaml")
		at := dot(path, name)
		switch {
		case isGroup(field.Type):
			fmt.Fprintf(&s.out, "%s%s:\n", lead, name)
			s.group(at, indent+"  ", "", value)
		case isGroupList(field.Type) && value.Len() == 0:
			continue
		case isGroupList(field.Type):
			fmt.Fprintf(&s.out, "%s%s:\n", lead, name)
			for j := range value.Len() {
				s.group(index(at, j), indent+"    ", indent+"  - ", value.Index(j))
			}
		default:
			if value.IsZero() && field.Tag.Get("default") == "" && value.Kind() != reflect.Bool {
				continue // not set, and nothing stands in for it
			}
			s.line(lead+name+": "+scalarText(value), at)
		}
		lead = indent
	}
}

// originColumn is where the comments with origins begin, unless the value is longer.
const originColumn = 52

func (s *shower) line(text, path string) {
	s.out.WriteString(text)
	if origin, ok := s.origins[path]; ok && s.withOrigins {
		fmt.Fprintf(&s.out, "%s  # %s", strings.Repeat(" ", max(0, originColumn-len(text))), oneLine(origin.String()))
	}
	s.out.WriteByte('\n')
}

// scalarText writes a leaf as YAML.
func scalarText(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case runner.Secret:
		return quote(x.String())
	case string:
		return quote(x)
	case []string:
		texts := make([]string, len(x))
		for i, t := range x {
			texts[i] = quote(t)
		}
		return "[" + strings.Join(texts, ", ") + "]"
	default:
		return fmt.Sprint(x)
	}
}

// plainText needs no quotes in YAML, unless it is one of notPlain.
var (
	plainText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*$`)
	notPlain  = regexp.MustCompile(`^(?i:true|false|null|yes|no|on|off|y|n)$`)
)

// quote writes a text as a YAML scalar. A JSON string is a double-quoted YAML scalar, too.
func quote(s string) string {
	if plainText.MatchString(s) && !notPlain.MatchString(s) {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(fmt.Sprintf("config: encode text: %v", err)) // a string always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}
