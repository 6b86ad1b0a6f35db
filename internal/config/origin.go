package config

import (
	"fmt"
	"maps"
	"slices"
)

// OriginKind is the kind of place that a value came from.
type OriginKind string

// The places, from weakest to strongest.
const (
	FromDefault    OriginKind = "default"
	FromFile       OriginKind = "file"       // mayfly.yaml
	FromCredential OriginKind = "credential" // a systemd credential
	FromEnvFile    OriginKind = "env file"
	FromEnv        OriginKind = "environment"
	FromFlag       OriginKind = "flag"
)

// Origin is where one value came from.
type Origin struct {
	Kind OriginKind
	// Name is the variable, flag or credential; "" for mayfly.yaml and defaults.
	Name string
	// File, Line and Column (from 1) are set for values that were read in a file.
	File         string
	Line, Column int
	// Through is the file that a secret was read from when the place only names that file.
	Through string
	// Why says what a default was made from.
	Why string
}

// String tells the origin to people: "mayfly.yaml:3:7", "RUNNER_LABELS", "dispatcher.env:4:8: RUNNER_LABELS",
// "--log-level", "default".
func (o Origin) String() string {
	s := o.place()
	if o.Name != "" {
		s = join(s, o.Name)
	}
	switch {
	case s == "":
		s = string(o.Kind)
	case o.Kind == FromDefault:
		s = string(FromDefault) + " (" + s + ")"
	case o.Kind == FromCredential:
		s = "credential " + s
	}
	if o.Why != "" {
		s += " (" + o.Why + ")"
	}
	if o.Through != "" {
		s += " → " + o.Through
	}
	return s
}

// place is FILE:LINE:COLUMN, as far as known.
func (o Origin) place() string {
	switch {
	case o.File == "":
		return ""
	case o.Line == 0:
		return o.File
	}
	return fmt.Sprintf("%s:%d:%d", o.File, o.Line, o.Column)
}

// Origins tells for each key path that has a value ("pools[0].labels") where the value came from.
type Origins map[string]Origin

// Paths returns the key paths, sorted.
func (o Origins) Paths() []string { return slices.Sorted(maps.Keys(o)) }

// given reports whether somebody set the key.
func (o Origins) given(path string) bool {
	origin, ok := o[path]
	return ok && origin.Kind != FromDefault
}

func join(parts ...string) string {
	s := ""
	for _, p := range parts {
		switch {
		case p == "":
		case s == "":
			s = p
		default:
			s += ": " + p
		}
	}
	return s
}
