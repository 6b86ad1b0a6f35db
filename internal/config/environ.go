package config

import (
	"maps"
	"slices"
	"strings"
)

// variable is a value that a variable has, and where it was set.
type variable struct {
	text   string
	origin Origin
}

// environment is the process environment and, behind it, the env file. An empty variable counts as one that isn't set.
type environment struct{ process, file map[string]variable }

// get returns the variable from the stronger of the two.
func (e environment) get(name string) (variable, bool) {
	if v, ok := e.process[name]; ok {
		return v, true
	}
	v, ok := e.file[name]
	return v, ok
}

// The variables that stand for no single key.
const (
	repoOwner = "REPO_OWNER"
	repoName  = "REPO_NAME"
	repoURL   = "REPO_URL"
	// credentialsDirectory is set by systemd for a unit with LoadCredential= or SetCredential= (systemd.exec(5)).
	credentialsDirectory = "CREDENTIALS_DIRECTORY"
)

// variables maps each variable to the path of its key; in a pool, of the first pool.
func variables() map[string]string {
	f := File{Pools: make([]FilePool, 1)}
	m := map[string]string{}
	for _, k := range f.keys() {
		if name := k.tag("env"); name != "" {
			m[name] = k.path
		}
	}
	return m
}

// knownVariables lists every variable that means something here.
func knownVariables() []string {
	return append(slices.Sorted(maps.Keys(variables())), repoOwner, repoName, repoURL)
}

// readEnvironment takes the process environment and reads the env file.
func (l *loader) readEnvironment() bool {
	l.env = environment{map[string]variable{}, map[string]variable{}}
	for _, line := range l.opts.Env {
		if name, value, ok := strings.Cut(line, "="); ok {
			l.putVariable(l.env.process, name, value, Origin{Kind: FromEnv, Name: name})
		}
	}
	l.warnUnknown(l.env.process, "PROXMOX_")
	if l.opts.EnvFile == "" {
		return true
	}
	file := l.opts.EnvFile
	text, err := l.opts.ReadFile(file)
	if err != nil {
		l.problem(Origin{File: file}, "", "can't be read: "+cause(err), "want the path of a file of NAME=value lines")
		return false
	}
	lines, faults := parseEnvFile(string(text))
	known := knownVariables()
	for _, f := range faults {
		from := Origin{Kind: FromEnvFile, Name: f.name, File: file, Line: f.line, Column: f.column}
		if f.name != "" && !slices.Contains(known, f.name) {
			l.warn(from, "", f.wrong+"; nothing reads this variable")
			continue
		}
		l.problem(from, "", f.wrong, f.want)
		if f.name != "" { // it is there, whatever it was to be: nothing shall say that it is missing
			l.env.file[f.name] = variable{"", from}
		}
	}
	for _, a := range lines {
		l.putVariable(l.env.file, a.name, a.value, Origin{Kind: FromEnvFile, Name: a.name, File: file, Line: a.line, Column: a.column})
	}
	l.warnUnknown(l.env.file, "")
	return true
}

// putVariable keeps what a variable was last set to.
func (l *loader) putVariable(layer map[string]variable, name, value string, from Origin) {
	if value = strings.TrimSpace(value); value == "" {
		delete(layer, name)
		return
	}
	layer[name] = variable{value, from}
}

// warnUnknown names variables that look like misspelt ones of ours.
func (l *loader) warnUnknown(layer map[string]variable, prefix string) {
	known := knownVariables()
	for _, name := range slices.Sorted(maps.Keys(layer)) {
		if slices.Contains(known, name) || !strings.HasPrefix(name, prefix) {
			continue
		}
		if near, ok := nearest(name, known); ok {
			l.misspelt = append(l.misspelt, Warning{layer[name].origin, "", "nothing reads this variable; did you mean " + near + "?"})
		}
	}
}

// applyVariables puts the variables over what mayfly.yaml says. Those that describe a pool count only where mayfly.yaml
// has no pools; completePools takes them.
func (l *loader) applyVariables() {
	for _, k := range l.file.keys() {
		name := k.tag("env")
		if name == "" || strings.HasPrefix(k.path, "pools[") {
			continue
		}
		if v, ok := l.env.get(name); ok {
			if v.text == "" { // a faulty line, told already
				l.origins[k.path] = v.origin
				l.broken = append(l.broken, k.path)
				continue
			}
			l.set(k, v.text, v.origin)
		}
	}
	l.applySecretFiles()
}
