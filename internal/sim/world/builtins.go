package world

import (
	"path"
	"strconv"
	"strings"
	"time"
)

// builtin is a command of the shell: its words, where its output goes, its exit code.
type builtin func(s *shell, words []string, out *strings.Builder) int

func builtins() map[string]builtin {
	return map[string]builtin{
		"true":  func(*shell, []string, *strings.Builder) int { return 0 },
		":":     func(*shell, []string, *strings.Builder) int { return 0 },
		"false": func(*shell, []string, *strings.Builder) int { return 1 },
		"set": func(s *shell, w []string, _ *strings.Builder) int {
			s.errexit = s.errexit || len(w) > 1 && strings.Contains(w[1], "e")
			return 0
		},
		"export":   (*shell).doExport,
		"sync":     func(*shell, []string, *strings.Builder) int { return 0 },
		"echo":     (*shell).doEcho,
		"printf":   (*shell).doEcho,
		"cat":      (*shell).doCat,
		"cd":       (*shell).doCD,
		"pwd":      func(s *shell, _ []string, out *strings.Builder) int { out.WriteString(s.dir + "\n"); return 0 },
		"hostname": func(s *shell, _ []string, out *strings.Builder) int { out.WriteString(s.m.hostname() + "\n"); return 0 },
		"exit":     (*shell).doExit,
		"ls":       (*shell).doLs,
		"mkdir":    (*shell).doMkdir,
		"touch":    (*shell).doTouch,
		"rm":       (*shell).doRm,
		"sleep":    (*shell).doSleep,
		"test":     (*shell).doTest,
		"[":        (*shell).doTest,
		"poweroff": func(s *shell, _ []string, _ *strings.Builder) int { s.m.pressButton(); return 0 },
		"shutdown": func(s *shell, _ []string, _ *strings.Builder) int { s.m.pressButton(); return 0 },
	}
}

func (s *shell) doExport(words []string, _ *strings.Builder) int {
	for _, w := range words[1:] {
		if assigns(w) {
			k, v, _ := strings.Cut(w, "=")
			s.vars[k] = v
		}
	}
	return 0
}

func (s *shell) doEcho(words []string, out *strings.Builder) int {
	args, end := words[1:], "\n"
	if words[0] == "printf" || len(args) > 0 && args[0] == "-n" {
		end = ""
		if words[0] != "printf" {
			args = args[1:]
		}
	}
	text := strings.Join(args, " ")
	if words[0] == "printf" {
		text = strings.ReplaceAll(text, `\n`, "\n")
	}
	out.WriteString(text + end)
	return 0
}

func (s *shell) doCat(words []string, out *strings.Builder) int {
	if len(words) == 1 {
		out.WriteString(s.stdin)
		return 0
	}
	code := 0
	for _, name := range words[1:] {
		text, ok := s.m.disk.read(s.path(name))
		if !ok {
			code = s.fail(1, "cat: "+name+": No such file or directory")
			continue
		}
		out.WriteString(text)
	}
	return code
}

func (s *shell) doCD(words []string, _ *strings.Builder) int {
	dir := s.vars["HOME"]
	if len(words) > 1 {
		dir = s.path(words[1])
	}
	if !s.m.disk.isDir(dir) {
		return s.fail(2, "sh: cd: can't cd to "+dir)
	}
	s.dir = dir
	return 0
}

func (s *shell) doExit(words []string, _ *strings.Builder) int {
	s.exited = true
	if len(words) == 1 {
		return s.status
	}
	n, err := strconv.Atoi(words[1])
	if err != nil {
		return s.fail(2, "sh: exit: Illegal number: "+words[1])
	}
	return n & 0xff
}

// operands are a command's words without its options.
func operands(words []string) []string {
	var out []string
	for _, w := range words[1:] {
		if !strings.HasPrefix(w, "-") {
			out = append(out, w)
		}
	}
	return out
}

func (s *shell) doLs(words []string, out *strings.Builder) int {
	names := operands(words)
	if len(names) == 0 {
		names = []string{s.dir}
	}
	code := 0
	for _, name := range names {
		switch at := s.path(name); {
		case s.m.disk.isDir(at):
			for _, entry := range s.m.disk.list(at) {
				out.WriteString(entry + "\n")
			}
		case s.m.disk.exists(at):
			out.WriteString(name + "\n")
		default:
			code = s.fail(2, "ls: cannot access '"+name+"': No such file or directory")
		}
	}
	return code
}

func (s *shell) doMkdir(words []string, _ *strings.Builder) int {
	for _, name := range operands(words) {
		at := s.path(name)
		parents := strings.HasPrefix(words[1], "-p")
		switch {
		case parents || s.m.disk.isDir(path.Dir(at)) && !s.m.disk.exists(at):
			s.m.disk.mkdir(at)
		case s.m.disk.exists(at):
			return s.fail(1, "mkdir: cannot create directory '"+name+"': File exists")
		default:
			return s.fail(1, "mkdir: cannot create directory '"+name+"': No such file or directory")
		}
	}
	return 0
}

func (s *shell) doTouch(words []string, _ *strings.Builder) int {
	for _, name := range operands(words) {
		if at := s.path(name); !s.m.disk.exists(at) && !s.m.disk.write(at, "", false) {
			return s.fail(1, "touch: cannot touch '"+name+"': No such file or directory")
		}
	}
	return 0
}

func (s *shell) doRm(words []string, _ *strings.Builder) int {
	force := len(words) > 1 && strings.HasPrefix(words[1], "-") && strings.Contains(words[1], "f")
	for _, name := range operands(words) {
		if !s.m.disk.remove(s.path(name)) && !force {
			return s.fail(1, "rm: cannot remove '"+name+"': No such file or directory")
		}
	}
	return 0
}

func (s *shell) doSleep(words []string, _ *strings.Builder) int {
	if len(words) != 2 {
		return s.fail(1, "sleep: missing operand")
	}
	seconds, err := strconv.ParseFloat(words[1], 64)
	if err != nil || seconds < 0 || seconds > maxStep.Seconds() {
		return s.fail(1, "sleep: invalid time interval '"+words[1]+"'")
	}
	if !sleep(s.ctx, time.Duration(seconds*float64(time.Second))) {
		return 143
	}
	return 0
}

// doTest is test and [: -e -f -d FILE, -z -n TEXT, A = B, A != B, each after an optional !.
func (s *shell) doTest(words []string, _ *strings.Builder) int {
	args := words[1:]
	if path.Base(words[0]) == "[" {
		if len(args) == 0 || args[len(args)-1] != "]" {
			return s.fail(2, "sh: [: missing ]")
		}
		args = args[:len(args)-1]
	}
	not := len(args) > 0 && args[0] == "!"
	if not {
		args = args[1:]
	}
	var is bool
	switch {
	case len(args) == 0:
	case len(args) == 1:
		is = args[0] != ""
	case len(args) == 2:
		at := s.path(args[1])
		switch args[0] {
		case "-e":
			is = s.m.disk.exists(at)
		case "-f":
			is = s.m.disk.exists(at) && !s.m.disk.isDir(at)
		case "-d":
			is = s.m.disk.isDir(at)
		case "-z":
			is = args[1] == ""
		case "-n":
			is = args[1] != ""
		default:
			return s.fail(2, "sh: test: "+args[0]+": unexpected operator")
		}
	case len(args) == 3 && (args[1] == "=" || args[1] == "=="):
		is = args[0] == args[2]
	case len(args) == 3 && args[1] == "!=":
		is = args[0] != args[2]
	default:
		return s.fail(2, "sh: test: too many arguments")
	}
	if is != not {
		return 0
	}
	return 1
}
