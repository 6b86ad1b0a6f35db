package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"mayfly/internal/runner"
)

// When tells from when on a changed value counts in a dispatcher that runs.
type When string

// The answers.
const (
	// AtOnce: from the next pass on.
	AtOnce When = "at once"
	// NextRunner: for runners that are made from now on; those that live keep what they were made with.
	NextRunner When = "next runner"
	// NextStart: after a restart of the dispatcher.
	NextStart When = "restart"
)

// WhenOf tells when a change of the key counts: "max_runners", "pools[0].labels".
func WhenOf(path string) When {
	if !strings.HasPrefix(path, "pools[") {
		if path == "max_runners" || path == "poll_interval" {
			return AtOnce
		}
		return NextStart
	}
	_, inPool, _ := strings.Cut(path, "]")
	switch strings.TrimPrefix(inPool, ".") {
	case "", "target", "labels", "accept_unlabeled", "jobs.repositories", "jobs.events", "jobs.forks", "max", "priority", "share":
		return AtOnce
	}
	return NextRunner
}

// Change is a key that two configurations differ in.
type Change struct {
	// Path names pools by their names: "pools[ep].max".
	Path string `json:"key"`
	// Old and New are values as mayfly.yaml has them, secrets as ***; "" where there is none.
	Old  string `json:"old"`
	New  string `json:"new"`
	When When   `json:"takes_effect"`
}

// Changes lists what differs between two configurations, in the order of the keys.
func Changes(old, next *Config) []Change {
	a, b := flatten(fileOf(old)), flatten(fileOf(next))
	var changes []Change
	for _, v := range a {
		i := slices.IndexFunc(b, func(w flatValue) bool { return w.path == v.path })
		switch {
		case i < 0:
			changes = append(changes, Change{v.path, v.text, "", WhenOf(v.path)})
		case !reflect.DeepEqual(b[i].value, v.value):
			changes = append(changes, Change{v.path, v.text, b[i].text, WhenOf(v.path)})
		}
	}
	for _, w := range b {
		if !slices.ContainsFunc(a, func(v flatValue) bool { return v.path == w.path }) {
			changes = append(changes, Change{w.path, "", w.text, WhenOf(w.path)})
		}
	}
	slices.SortStableFunc(changes, func(x, y Change) int { return cmp.Compare(x.Path, y.Path) })
	return changes
}

// flatValue is a leaf that has a value.
type flatValue struct {
	path  string
	text  string
	value any
}

func flatten(f *File) []flatValue {
	var list []flatValue
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
		value := k.value.Interface()
		if s, ok := value.(runner.Secret); ok {
			value = s.Reveal()
		}
		list = append(list, flatValue{path, scalarText(k.value), value})
	}
	return list
}
