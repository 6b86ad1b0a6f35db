package config

import (
	"encoding/json"
	"reflect"
	"strconv"
	"time"

	"github.com/invopop/jsonschema"

	"mayfly/internal/runner"
)

// Schema returns the JSON Schema (2020-12) of mayfly.yaml, indented, for editors. It says what each value alone must
// be; how values fit together, only [Load] knows.
func Schema() ([]byte, error) {
	texts := comments()
	r := jsonschema.Reflector{
		Anonymous: true, DoNotReference: true, ExpandedStruct: true, FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true,
		LookupComment: func(t reflect.Type, field string) string {
			if field == "" {
				return ""
			}
			return texts[t.Name()+"."+field]
		},
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			switch t {
			case reflect.TypeFor[runner.Secret]():
				return &jsonschema.Schema{Type: "string"}
			case reflect.TypeFor[Duration](), reflect.TypeFor[Size]():
				return &jsonschema.Schema{}
			}
			return nil
		},
	}
	s := r.Reflect(&File{})
	s.Title = "Mayfly configuration"
	s.Description = texts["File"]
	constrain(s, reflect.TypeFor[File]())
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

// constrain adds what the tags of file.go say to the schema of a struct.
func constrain(s *jsonschema.Schema, t reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		name := field.Tag.Get("yaml")
		p, _ := s.Properties.Get(name)
		if field.Tag.Get("required") == "always" {
			s.Required = append(s.Required, name)
		}
		switch {
		case isGroup(field.Type):
			constrain(p, field.Type)
		case isGroupList(field.Type):
			p.MinItems = new(uint64(1))
			constrain(p.Items, field.Type.Elem())
		case field.Type.Kind() == reflect.Slice:
			constrainLeaf(p.Items, field)
		default:
			constrainLeaf(p, field)
		}
	}
}

func constrainLeaf(s *jsonschema.Schema, field reflect.StructField) {
	low, high, text := field.Tag.Get("min"), field.Tag.Get("max"), field.Tag.Get("default")
	if f, ok := formOf(field.Tag.Get("form")); ok {
		s.Pattern = f.pattern
	}
	for _, value := range among(field.Tag.Get("oneof")) {
		s.Enum = append(s.Enum, value)
	}
	switch field.Type {
	case reflect.TypeFor[Duration]():
		s.AnyOf = []*jsonschema.Schema{
			{Type: "integer", Minimum: seconds(low), Maximum: seconds(high)},
			{Type: "string", Pattern: durationPattern},
		}
	case reflect.TypeFor[Size]():
		s.Type, s.Pattern = "string", sizePattern
	case reflect.TypeFor[int]():
		s.Minimum, s.Maximum = json.Number(low), json.Number(high)
	}
	if text == "" {
		return
	}
	switch field.Type.Kind() {
	case reflect.Int:
		s.Default, _ = strconv.Atoi(text)
	case reflect.Bool:
		s.Default = text == "true"
	default:
		s.Default = text
	}
}

// seconds writes a duration of a tag as a number.
func seconds(tag string) json.Number {
	d, _ := parseDuration(tag)
	whole := (time.Duration(d) + time.Second - 1) / time.Second
	return json.Number(strconv.FormatInt(int64(whole), 10))
}
