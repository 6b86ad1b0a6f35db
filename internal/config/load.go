package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// LoadOptions say where the configuration is.
type LoadOptions struct {
	// File is the path of mayfly.yaml; "" configures by environment alone.
	File string
	// EnvFile is the path of a file of NAME=value lines; "" for none.
	EnvFile string
	// Env is the process environment, "NAME=value" each.
	Env []string
	// Overrides are the flags that stand for a key.
	Overrides []Override
	// ReadFile and Stat read files; nil takes those of package os.
	ReadFile func(path string) ([]byte, error)
	Stat     func(path string) (fs.FileInfo, error)
}

// Override is a flag that was set: it wins over every other place.
type Override struct {
	// Path is the key that it stands for, "log.level".
	Path string
	// Flag is its name, "--log-level".
	Flag  string
	Value string
}

// Load reads, merges and checks the configuration. The error is of type [Problems] and holds everything that is wrong;
// the origins are returned with it as far as they are known.
func Load(opts LoadOptions) (*Config, Origins, error) {
	l := newLoader(opts)
	if l.gather() {
		l.complete()
		l.check()
	}
	if len(l.problems) > 0 {
		// What looks like a misspelt variable is likely the reason why another one isn't set.
		for _, w := range l.misspelt {
			l.problem(w.Origin, w.Path, w.Text, "")
		}
		l.sort()
		if len(l.problems) == maxProblems {
			l.problems = append(l.problems, Problem{Origin: Origin{File: l.opts.File}, Wrong: "there may be more", Want: "mend these first"})
		}
		return nil, l.origins, l.problems
	}
	l.warnings = append(l.warnings, l.misspelt...)
	l.sort()
	c := l.file.config()
	c.Warnings = l.warnings
	return c, l.origins, nil
}

// loader carries one Load: the values so far, where each came from, and what was found wrong.
type loader struct {
	report
	opts    LoadOptions
	file    File
	origins Origins
	env     environment
	// broken lists keys whose value was told to be wrong under another name than the key's.
	broken []string
	// misspelt are variables whose names are near those of ours.
	misspelt []Warning
}

func newLoader(opts LoadOptions) *loader {
	if opts.ReadFile == nil {
		opts.ReadFile = os.ReadFile
	}
	if opts.Stat == nil {
		opts.Stat = os.Stat
	}
	return &loader{opts: opts, origins: Origins{}}
}

// gather reads every place, the weakest first, so that a stronger one overwrites it. It returns false when a file can't
// be read at all: what follows would only be noise.
func (l *loader) gather() bool {
	whole := l.readEnvironment()
	if l.opts.File != "" {
		whole = l.readFile() && whole
	}
	if !whole {
		return false
	}
	l.applyCredentials()
	l.applyVariables()
	l.applyOverrides()
	return true
}

func (l *loader) readFile() bool {
	text, err := l.opts.ReadFile(l.opts.File)
	if err != nil {
		l.problem(Origin{File: l.opts.File}, "", "can't be read: "+cause(err), "want the path of a mayfly.yaml, or none to configure by environment alone")
		return false
	}
	return readYAML(l.opts.File, text, &l.file, l.origins, &l.report)
}

func (l *loader) applyOverrides() {
	keys := map[string]key{}
	for _, k := range l.file.keys() {
		keys[k.path] = k
	}
	for _, o := range l.opts.Overrides {
		k, ok := keys[o.Path]
		if !ok {
			panic("config: flag " + o.Flag + " stands for " + o.Path + ", which is no key")
		}
		l.set(k, o.Value, Origin{Kind: FromFlag, Name: o.Flag})
	}
}

// set gives a key the text of a variable or flag, which may be wrong.
func (l *loader) set(k key, text string, from Origin) {
	l.origins[k.path] = from
	if wrong, want := k.setText(text); wrong != "" {
		l.problem(from, k.path, wrong, want)
	}
}

// complete fills in what nobody set: first what follows from other keys' places, then plain defaults.
func (l *loader) complete() {
	l.completeEndpoints()
	l.completePools()
	for _, k := range l.file.keys() {
		if text := k.tag("default"); text != "" && !l.known(k.path) {
			if wrong, _ := k.setText(text); wrong != "" {
				panic(fmt.Sprintf("config: default of %s: %s", k.path, wrong))
			}
			l.origins[k.path] = Origin{Kind: FromDefault}
		}
	}
	l.completeDerived()
}

// known reports whether the key has a value already, be it a wrong one.
func (l *loader) known(path string) bool {
	_, ok := l.origins[path]
	return ok
}

// bad reports whether something was told to be wrong already with the key's value, a part of it, or what it is in.
func (l *loader) bad(path string) bool {
	return slices.Contains(l.broken, path) || slices.ContainsFunc(l.problems, func(p Problem) bool {
		return p.Path == path || within(p.Path, path) || within(path, p.Path)
	})
}

// within reports whether the path inner lies inside outer.
func within(inner, outer string) bool {
	rest, ok := strings.CutPrefix(inner, outer)
	return ok && outer != "" && rest != "" && (rest[0] == '.' || rest[0] == '[')
}

// cause is the short reason of a file error, without the path, which the message names already.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
