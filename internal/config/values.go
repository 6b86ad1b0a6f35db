package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"mayfly/internal/runner"
)

// Value is a key that has a value, for comparison and to be shown.
type Value struct {
	// Key names pools by their names: "pools[ep].max".
	Key string `json:"key"`
	// Text is the value as mayfly.yaml has it; a secret's is ***.
	Text string `json:"value"`
	// secret is a secret itself; zero for anything else, and where the value has come from another process.
	secret runner.Secret
}

// Format prints no secret: package fmt would look into a field that isn't exported.
func (v Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(v.Key + "=" + v.Text)) }

// Values are those of a configuration, in the order of the keys. As JSON they hold no secret.
type Values []Value

// ValuesOf lists what has a value in a configuration.
func ValuesOf(c *Config) Values {
	f := fileOf(c)
	var list Values
	for _, k := range f.keys() {
		if k.value.IsZero() || k.value.Kind() == reflect.Slice && k.value.Len() == 0 {
			continue
		}
		path := k.path
		for i := range f.Pools {
			if rest, ok := strings.CutPrefix(path, index("pools", i)); ok {
				path = fmt.Sprintf("pools[%s]%s", f.Pools[i].Name, rest)
				break
			}
		}
		v := Value{Key: path, Text: scalarText(k.value)}
		if s, ok := k.value.Interface().(runner.Secret); ok {
			v.secret = s
		}
		list = append(list, v)
	}
	return list
}

// WithSecretsOf fills in secrets that were left out on the way from another process, where other has them.
func (v Values) WithSecretsOf(other Values) Values {
	v = slices.Clone(v)
	for i := range v {
		if w, ok := other.find(v[i].Key); ok && v[i].secret.IsZero() {
			v[i].secret = w.secret
		}
	}
	return v
}

// InForce is what a process follows that began with the one configuration and has read the other since.
func InForce(began, read *Config) Values {
	later := func(v Value) bool { return WhenOf(v.Key) == NextStart }
	return append(slices.DeleteFunc(ValuesOf(read), later), slices.DeleteFunc(ValuesOf(began), func(v Value) bool { return !later(v) })...)
}

func (v Values) find(key string) (Value, bool) {
	if i := slices.IndexFunc(v, func(w Value) bool { return w.Key == key }); i >= 0 {
		return v[i], true
	}
	return Value{}, false
}

// same reports whether both are equal. A secret that one side doesn't have, because it came from another process, counts
// as the other's.
func (v Value) same(w Value) bool {
	return v.Text == w.Text && (v.secret == w.secret || v.secret.IsZero() || w.secret.IsZero())
}
