package config

import (
	"cmp"
	"slices"
	"strings"
)

// When tells from when on a changed value counts in a dispatcher that runs.
type When string

// The answers.
const (
	// AtOnce: from the next pass on.
	AtOnce When = "at once"
	// NextRunner: for runners that are made from now on. Those with a job keep what they were made with; warm ones make way
	// where their VM would be another.
	NextRunner When = "next runner"
	// NextStart: after a restart of the dispatcher.
	NextStart When = "restart"
	// NextBootstrap: the dispatcher itself doesn't use it, mayfly bootstrap does.
	NextBootstrap When = "next bootstrap"
)

// WhenOf tells when a change of the key counts: "max_runners", "pools[0].labels".
func WhenOf(path string) When {
	if strings.HasPrefix(path, "bootstrap.") {
		return NextBootstrap
	}
	if !strings.HasPrefix(path, "pools[") {
		if path == "max_runners" || path == "poll_interval" {
			return AtOnce
		}
		return NextStart
	}
	_, inPool, _ := strings.Cut(path, "]")
	switch strings.TrimPrefix(inPool, ".") {
	case "", "name", "target", "targets", "labels", "accept_unlabeled", "runner_group_id", "jobs.repositories", "jobs.events", "jobs.forks",
		"max", "priority", "share", "min_idle", "min_idle_schedule", "booted_spares", "booted_spares_schedule", "spare_max_age", "time_zone":
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
func Changes(old, next *Config) []Change { return ValuesOf(old).Changes(ValuesOf(next)) }

// Changes lists what differs between two lists of values, in the order of the keys.
func (v Values) Changes(next Values) []Change {
	var changes []Change
	for _, was := range v {
		switch w, ok := next.find(was.Key); {
		case !ok:
			changes = append(changes, Change{was.Key, was.Text, "", WhenOf(was.Key)})
		case !was.same(w):
			changes = append(changes, Change{was.Key, was.Text, w.Text, WhenOf(was.Key)})
		}
	}
	for _, w := range next {
		if _, ok := v.find(w.Key); !ok {
			changes = append(changes, Change{w.Key, "", w.Text, WhenOf(w.Key)})
		}
	}
	slices.SortStableFunc(changes, func(x, y Change) int { return cmp.Compare(x.Path, y.Path) })
	return changes
}
