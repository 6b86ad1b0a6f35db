package setup

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"mayfly/internal/config"
	"mayfly/internal/runner"
)

// gather reads what is known beforehand: an existing mayfly.yaml, the env file, the environment and flags.
func (w *wizard) gather() error {
	opts := config.LoadOptions{EnvFile: w.o.EnvFile, Env: w.o.Env}
	there := true
	if _, err := os.Stat(w.o.File); errors.Is(err, os.ErrNotExist) {
		there = false
	}
	// Apart from each other, so that each tells all that it says: together, the stronger would hide the weaker.
	settings, warnings, err := config.Given(opts)
	if err != nil {
		return err
	}
	for _, s := range settings {
		w.given[s.Path] = s
	}
	if there {
		existing, more, err := config.Given(config.LoadOptions{File: w.o.File})
		if err != nil {
			return err
		}
		warnings = append(warnings, more...)
		for _, s := range existing {
			w.before[s.Path] = s
			w.kept = append(w.kept, s.Path)
		}
		w.takeTargets()
		w.con.say("%s is there: its values are the defaults.", w.o.File)
	}
	for _, x := range warnings {
		w.con.say("warning: %s", x)
	}
	if w.o.EnvFile != "" {
		w.con.say("%s is read: what it says isn't asked for again.", w.o.EnvFile)
	}
	for _, a := range w.o.Answers {
		s := config.Setting{Path: a.Path, Value: a.Value, Origin: config.Origin{Kind: config.FromFlag, Name: a.Flag}}
		w.given[a.Path] = s
		secret, isFile := strings.CutSuffix(a.Path, "_file")
		if !isFile || secret == "proxmox.ca" {
			continue
		}
		text, err := os.ReadFile(a.Value)
		if err != nil {
			return fmt.Errorf("%s: %w; want a file that holds the secret and nothing else", a.Flag, withoutPath(err, a.Value))
		}
		s.Path, s.Value, s.Secret = secret, "", runner.NewSecret(strings.TrimSpace(string(text)))
		w.given[secret] = s
	}
	return nil
}

// takeTargets has the first repository of a pool that serves several be what is asked about.
func (w *wizard) takeTargets() {
	s, ok := w.before[targetsKey]
	if _, one := w.before[targetKey]; one || !ok {
		return
	}
	list := strings.Split(s.Value, ",")
	w.further = list[1:]
	s.Path, s.Value = targetKey, strings.TrimSpace(list[0])
	w.before[targetKey] = s
}

// withoutPath leaves the path out of a file's error where it may be the secret itself.
func withoutPath(err error, path string) error {
	if inner := errors.Unwrap(err); inner != nil && looksSecret(path) {
		return inner
	}
	return err
}

// answer is what somebody has said already for a key; from tells who, for people.
func (w *wizard) answer(path string) (value, from string, ok bool) {
	s, ok := w.given[path]
	return s.Value, from0(s.Origin), ok
}

// from0 tells an origin without the place in a file, which doesn't matter any more.
func from0(o config.Origin) string {
	switch {
	case o.File != "" && o.Name != "":
		return o.Name + " in " + base(o.File)
	case o.Name != "":
		return o.Name
	}
	return base(o.File)
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// put notes a key's value, in place of what was noted before. An empty value takes the key out.
func (w *wizard) put(path, value, from string) {
	w.drop(path)
	if value != "" {
		w.notes = append(w.notes, config.Note{Path: path, Value: value, From: from})
	}
}

func (w *wizard) drop(path string) {
	for i, n := range w.notes {
		if n.Path == path {
			w.notes = append(w.notes[:i], w.notes[i+1:]...)
			return
		}
	}
}
