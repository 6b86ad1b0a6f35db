package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"mayfly/internal/runner"
)

// key is a leaf of a [File]: a value with its path and the tags that describe it.
type key struct {
	path  string // "pools[0].max"
	field reflect.StructField
	value reflect.Value
}

func (k key) tag(name string) string { return k.field.Tag.Get(name) }

// keys lists the leaves of a File, in the order of the types.
func (f *File) keys() []key { return keysOf("", reflect.ValueOf(f).Elem()) }

func keysOf(path string, v reflect.Value) []key {
	var list []key
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		at := dot(path, field.Tag.Get("yaml"))
		switch {
		case isGroup(field.Type):
			list = append(list, keysOf(at, value)...)
		case isGroupList(field.Type):
			for j := range value.Len() {
				list = append(list, keysOf(index(at, j), value.Index(j))...)
			}
		default:
			list = append(list, key{at, field, value})
		}
	}
	return list
}

// isGroup reports whether the type holds further keys.
func isGroup(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[runner.Secret]()
}

func isGroupList(t reflect.Type) bool { return t.Kind() == reflect.Slice && isGroup(t.Elem()) }

// separator is between the values of a list that stands in one text. The fields of a schedule have commas themselves.
func (k key) separator() string {
	if k.tag("form") == "warm_rule" {
		return ";"
	}
	return ","
}

// setText gives the leaf a value from a text: a variable, a flag, a default. It returns what is wrong and what is
// wanted, or nothing.
func (k key) setText(text string) (wrong, want string) {
	switch k.value.Interface().(type) {
	case string:
		k.value.SetString(text)
	case []string:
		var list []string
		for part := range strings.SplitSeq(text, k.separator()) {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
		k.value.Set(reflect.ValueOf(list))
	case int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Sprintf("%q is not a whole number", text), k.wantRange()
		}
		k.value.SetInt(int64(n))
	case bool:
		b, ok := parseBool(text)
		if !ok {
			return fmt.Sprintf("%q is neither true nor false", text), "want true or false"
		}
		k.value.SetBool(b)
	case Duration:
		d, ok := parseDuration(text)
		if !ok {
			return fmt.Sprintf("%q is not a duration", text), k.wantRange()
		}
		k.value.SetInt(int64(d))
	case Size:
		s, ok := parseSize(text)
		if !ok {
			return fmt.Sprintf("%q is not an amount of memory", text), k.wantRange()
		}
		k.value.SetInt(int64(s))
	case runner.Secret:
		k.value.Set(reflect.ValueOf(runner.NewSecret(text)))
	default:
		panic("config: key " + k.path + " has a type that no text can be read into")
	}
	return "", ""
}

// parseBool reads what people write into variables.
func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "true", "1", "yes", "on":
		return true, true
	case "false", "0", "no", "off":
		return false, true
	}
	return false, false
}

// wantRange tells the accepted form of a number, duration or size.
func (k key) wantRange() string {
	low, high := k.tag("min"), k.tag("max")
	switch k.value.Interface().(type) {
	case int:
		return fmt.Sprintf("want a whole number from %s to %s", low, high)
	case Duration:
		return fmt.Sprintf("want seconds or a duration such as 90s or 5m, from %s to %s", low, high)
	case Size:
		return fmt.Sprintf("want a whole number of MiB or GiB such as 8GiB, from %s to %s", minMemory, maxMemory)
	}
	return ""
}

// wantOneOf tells the values that a key may have.
func (k key) wantOneOf() string {
	values := among(k.tag("oneof"))
	if len(values) < 2 {
		return "want " + strings.Join(values, "")
	}
	return "want " + strings.Join(values[:len(values)-1], ", ") + " or " + values[len(values)-1]
}

// inRange reports whether a number, duration or size lies within its bounds.
func (k key) inRange() bool {
	switch v := k.value.Interface().(type) {
	case int:
		low, _ := strconv.Atoi(k.tag("min"))
		high, _ := strconv.Atoi(k.tag("max"))
		return v >= low && v <= high
	case Duration:
		low, _ := parseDuration(k.tag("min"))
		high, _ := parseDuration(k.tag("max"))
		return v >= low && v <= high
	case Size:
		return v >= minMemory && v <= maxMemory
	}
	return true
}

func dot(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
