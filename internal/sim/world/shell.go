package world

import (
	"context"
	"path"
	"strings"
)

// shell runs scripts on a machine's disk: simple commands, quotes, variables, "&&", "||", ";", "#", "> file" and
// ">> file". It has no pipes, loops or functions; a job that needs those wants a real guest.
type shell struct {
	ctx     context.Context
	m       *machine
	dir     string
	vars    map[string]string
	stdin   string
	errexit bool // -e: the first command that fails outside && and || ends the script
	status  int
	exited  bool
	out     strings.Builder
	err     strings.Builder
}

// maxCommands bounds a script: without loops only a very long one has more.
const maxCommands = 10_000

func (m *machine) shell(ctx context.Context, dir string, env []string, stdin string, errexit bool) *shell {
	ctx, cancel := context.WithTimeout(ctx, maxStep)
	context.AfterFunc(m.ctx, cancel) // which comes at the latest when the machine goes off
	s := &shell{ctx: ctx, m: m, dir: dir, vars: map[string]string{"PATH": "/usr/bin:/bin"}, stdin: stdin, errexit: errexit}
	for _, e := range env {
		k, v, _ := strings.Cut(e, "=")
		s.vars[k] = v
	}
	return s
}

// run runs a script to its end.
func (s *shell) run(script string) outcome {
	tokens, problem := split(script)
	if problem != "" {
		return outcome{code: 2, err: "sh: " + problem + "\n"}
	}
	s.list(tokens)
	return outcome{code: s.status, out: s.out.String(), err: s.err.String()}
}

// call runs one command with these words.
func (s *shell) call(words []string) outcome {
	s.status = s.builtin(words, &s.out)
	return outcome{code: s.status, out: s.out.String(), err: s.err.String()}
}

// list runs commands and what joins them.
func (s *shell) list(tokens []token) {
	skip := false // because of && or ||
	for commands := 0; len(tokens) > 0 && !s.exited && s.ctx.Err() == nil; commands++ {
		end := 0
		for end < len(tokens) && !tokens[end].joins() {
			end++
		}
		join := ";"
		if end < len(tokens) {
			join = tokens[end].text
		}
		if end > 0 && !skip {
			s.command(tokens[:end])
			if s.status != 0 && s.errexit && join != "&&" && join != "||" {
				s.exited = true
			}
		}
		switch join {
		case "&&":
			skip = s.status != 0
		case "||":
			skip = s.status == 0
		default:
			skip = false
		}
		tokens = tokens[min(end+1, len(tokens)):]
		if commands > maxCommands {
			s.err.WriteString("sh: too many commands\n")
			s.status, s.exited = 2, true
		}
	}
	if s.ctx.Err() != nil {
		s.status = 143 // as a process that was told to end
	}
}

// command runs a simple command: assignments, words, redirections.
func (s *shell) command(tokens []token) {
	var words []string
	var target string
	appendTo := false
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		if t.operator && (t.text == ">" || t.text == ">>") {
			if i+1 == len(tokens) {
				s.fail(2, "sh: syntax error: redirection without a file")
				return
			}
			i++
			target, appendTo = s.path(s.expand(tokens[i])), t.text == ">>"
			continue
		}
		word := s.expand(t)
		if word == "" && !t.quoted {
			continue
		}
		words = append(words, word)
	}
	for len(words) > 0 && assigns(words[0]) {
		k, v, _ := strings.Cut(words[0], "=")
		s.vars[k] = v
		words = words[1:]
		s.status = 0
	}
	if len(words) == 0 && target == "" {
		return
	}
	if target == "" {
		s.status = s.builtin(words, &s.out)
		return
	}
	var text strings.Builder
	s.status = 0
	if len(words) > 0 {
		s.status = s.builtin(words, &text)
	}
	if !s.m.disk.write(target, text.String(), appendTo) {
		s.fail(1, "sh: cannot create "+target+": Directory nonexistent")
	}
}

func (s *shell) fail(code int, words string) int {
	s.err.WriteString(words + "\n")
	s.status = code
	return code
}

// builtin runs a command by its words.
func (s *shell) builtin(words []string, out *strings.Builder) int {
	run := builtins()[path.Base(words[0])]
	switch {
	case run != nil:
		return run(s, words, out)
	case words[0] == scriptPath && s.m.disk.exists(scriptPath):
		o := s.m.runOnce(words[1:], s.stdin)
		out.WriteString(o.out)
		s.err.WriteString(o.err)
		return o.code
	}
	return s.fail(127, "sh: "+words[0]+": not found")
}

// path makes a file name absolute.
func (s *shell) path(name string) string {
	if strings.HasPrefix(name, "/") {
		return path.Clean(name)
	}
	return path.Join(s.dir, name)
}

// assigns reports whether a word is NAME=value.
func assigns(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	if !ok || name == "" || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return !nameRune(r) })
}

func nameRune(r rune) bool {
	return r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
