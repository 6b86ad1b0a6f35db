package main

import (
	"slices"
	"strings"
)

// inputPrefix begins variables that stand for arguments. They are read once and removed from the environment, so that
// no job sees them there (actions/runner CommandSettings.cs).
const inputPrefix = "ACTIONS_RUNNER_INPUT_"

// flags are options without a value, arguments are those with one.
var (
	flags = []string{
		"commit", "disableupdate", "ephemeral", "help", "local", "no-default-labels", "once", "replace", "unattended",
		"version", "warmup",
	}
	arguments = []string{"jitconfig", "labels", "name", "runnergroup", "startuptype", "token", "url", "work"}
	commands  = []string{"configure", "remove", "run"}
)

// input is what the command line and the environment ask for.
type input struct {
	command string
	values  map[string]string
	unknown []string
}

// has reports whether a flag is set.
func (in input) has(flag string) bool {
	value, ok := in.values[flag]
	return ok && !strings.EqualFold(value, "false")
}

// readInput reads the arguments, and the variables that stand for them, which it removes from the environment.
func (p *program) readInput() input {
	in := input{values: map[string]string{}}
	known := append(slices.Clone(flags), arguments...)
	p.env = slices.DeleteFunc(p.env, func(entry string) bool {
		name, value, _ := strings.Cut(entry, "=")
		rest, ours := strings.CutPrefix(name, inputPrefix)
		if !ours {
			return false
		}
		rest = strings.ReplaceAll(strings.ToLower(rest), "_", "-")
		if slices.Contains(known, rest) && value != "" {
			in.values[rest] = value
		}
		return true
	})
	for i := 0; i < len(p.args); i++ {
		word := p.args[i]
		name, isOption := strings.CutPrefix(word, "--")
		name = strings.ToLower(name)
		switch {
		case !isOption && in.command == "" && slices.Contains(commands, strings.ToLower(word)):
			in.command = strings.ToLower(word)
		case isOption && slices.Contains(flags, name):
			in.values[name] = "true"
		case isOption && slices.Contains(arguments, name) && i+1 < len(p.args):
			i++
			in.values[name] = p.args[i]
		case isOption: // a value is never repeated: it may be a secret that went astray
			in.unknown = append(in.unknown, word)
		}
	}
	return in
}

// variable gives a variable of the environment; "" when there is none.
func (p *program) variable(name string) string {
	for _, entry := range slices.Backward(p.env) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// isSet reads a variable as the real runner reads booleans (StringUtil.cs).
func (p *program) isSet(name string) bool {
	switch strings.ToLower(p.variable(name)) {
	case "1", "true", "$true":
		return true
	}
	return false
}
