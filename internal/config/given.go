package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"mayfly/internal/runner"
)

// Setting is a key that somebody set.
type Setting struct {
	// Path is the key, "pools[0].labels".
	Path string
	// Value is the value as a variable would hold it, a list with commas; "" of a secret.
	Value string
	// Secret is the value of a secret.
	Secret runner.Secret
	Origin Origin
}

// Given lists what file, env file and environment set, in the order of the keys, before anything is completed or checked: single values may be
// wrong still. Secrets that stand in files of their own come with their file's key and, where it can be read, with their own. The error is
// of type [Problems]: what can't be read at all, and what has the wrong type.
func Given(opts LoadOptions) ([]Setting, []Warning, error) {
	l := newLoader(opts)
	whole := l.gather()
	secret := func(path string) bool {
		return slices.ContainsFunc(l.file.secretKeys(), func(s secretKey) bool { return path == s.secret.path || path == s.file.path })
	}
	l.problems = slices.DeleteFunc(l.problems, func(p Problem) bool { return secret(p.Path) })
	if whole && !l.known("pools") && len(l.poolVariables()) > 0 {
		l.completePools()
	}
	if len(l.problems) > 0 {
		l.sort()
		return nil, nil, l.problems
	}
	var list []Setting
	for _, k := range l.file.keys() {
		if !l.origins.given(k.path) {
			continue
		}
		s := Setting{Path: k.path, Origin: l.origins[k.path]}
		if value, ok := k.value.Interface().(runner.Secret); ok {
			s.Secret = value
			if value.IsZero() {
				continue // its file can't be read
			}
		} else {
			s.Value = k.text()
		}
		list = append(list, s)
	}
	l.warnings = append(l.warnings, l.misspelt...)
	l.sort()
	return list, l.warnings, nil
}

// CheckValue tells what is wrong with a value for a key, and the accepted form; the value is as a variable would hold it. How values fit
// together only [Load] knows.
func CheckValue(path, value string) error {
	l := newLoader(LoadOptions{})
	at, ok := l.file.keyAt(path)
	if !ok {
		panic("config: " + path + " is no key")
	}
	l.set(at, value, Origin{Kind: FromFlag})
	if len(l.problems) == 0 {
		l.checkValue(at)
	}
	if f, ok := formOf(at.tag("form")); ok && at.value.Kind() == reflect.Slice && at.value.Len() == 0 && len(l.problems) == 0 {
		l.problem(Origin{}, path, "an empty list", f.want)
	}
	if len(l.problems) > 0 {
		return valueError(l.problems[0])
	}
	return nil
}

// valueError is a problem without its place.
type valueError Problem

func (e valueError) Error() string { return oneLine(e.Wrong + "; " + e.Want) }

// keyAt finds a key by its path; the lists that it is in grow until they have it.
func (f *File) keyAt(path string) (key, bool) {
	for len(f.Pools) <= elementOf(path, "pools") {
		f.Pools = append(f.Pools, FilePool{})
	}
	for len(f.Image.Sources) <= elementOf(path, "image.sources") {
		f.Image.Sources = append(f.Image.Sources, FileImageSource{})
	}
	for _, k := range f.keys() {
		if k.path == path {
			return k, true
		}
	}
	return key{}, false
}

// elementOf is the element of a list that a path is in; -1 for none. Lists that nobody writes by hand are none either.
func elementOf(path, list string) int {
	const longest = 1000
	rest, ok := strings.CutPrefix(path, list+"[")
	number, _, closed := strings.Cut(rest, "].")
	i, err := strconv.Atoi(number)
	if !ok || !closed || err != nil || i < 0 || i >= longest {
		return -1
	}
	return i
}

// text writes a leaf that is no secret as a variable would hold it.
func (k key) text() string {
	if list, ok := k.value.Interface().([]string); ok {
		return strings.Join(list, k.separator())
	}
	return fmt.Sprint(k.value.Interface())
}

// Variable is the variable that stands for a key, "" for none; in a pool, of the one pool of an environment without a file.
func Variable(path string) string {
	for name, at := range variables() {
		if at == path {
			return name
		}
	}
	return ""
}

// Default is the value of a key that nobody sets, as a variable would hold it; "" where there is none, or where it follows from others.
func Default(path string) string {
	f := &File{}
	k, ok := f.keyAt(path)
	if !ok {
		panic("config: " + path + " is no key")
	}
	return k.tag("default")
}
