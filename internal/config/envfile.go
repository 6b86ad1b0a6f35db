package config

import (
	"fmt"
	"regexp"
	"strings"
)

// assignment is a NAME=value line of an env file.
type assignment struct {
	name, value  string
	line, column int // of the name, from 1
}

// envFault is what is wrong with a line of an env file.
type envFault struct {
	line, column int
	name         string // "" when the line has none
	wrong, want  string
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// parseEnvFile reads what a shell would make of a file of assignments, and nothing more: NAME=value, with or without
// export; values plain, in 'single' or in "double" quotes; comments after #. Nothing is executed and nothing expanded:
// what a shell would expand is a fault, since the value would not be what stands there. Lines may end in CRLF.
func parseEnvFile(text string) ([]assignment, []envFault) {
	var list []assignment
	var faults []envFault
	for i, line := range strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n") {
		rest := strings.TrimLeft(strings.TrimSuffix(line, "\r"), " \t")
		if rest == "" || rest[0] == '#' {
			continue
		}
		if after, ok := cutExport(rest); ok {
			rest = after
		}
		at := assignment{line: i + 1, column: 1 + len(strings.TrimSuffix(line, "\r")) - len(rest)}
		name, value, ok := strings.Cut(rest, "=")
		if !ok || !envName.MatchString(name) {
			// The rest of the line isn't shown: it may be a secret.
			faults = append(faults, envFault{at.line, at.column, "", "not an assignment", "want NAME=value without spaces around the equals sign"})
			continue
		}
		at.name = name
		var wrong, want string
		at.value, wrong, want = parseEnvValue(value)
		if wrong != "" {
			faults = append(faults, envFault{at.line, at.column, name, wrong, want})
			continue
		}
		list = append(list, at)
	}
	return list, faults
}

func cutExport(s string) (string, bool) {
	rest, ok := strings.CutPrefix(s, "export")
	if !ok || rest == "" || (rest[0] != ' ' && rest[0] != '\t') {
		return s, false
	}
	return strings.TrimLeft(rest, " \t"), true
}

// parseEnvValue reads a value as a shell reads a word: quoted and plain parts may follow each other.
func parseEnvValue(s string) (value, wrong, want string) {
	var b strings.Builder
	if strings.HasPrefix(s, "~") {
		return "", "a ~ that a shell would expand, which is not done here", "want the whole path"
	}
	for s != "" {
		switch s[0] {
		case ' ', '\t':
			rest := strings.TrimLeft(s, " \t")
			if rest != "" && rest[0] != '#' {
				return "", "more after the value", "want quotes around a value with spaces"
			}
			return b.String(), "", ""
		case '\'':
			part, rest, closed := strings.Cut(s[1:], "'")
			if !closed {
				return "", "a ' that is not closed", "want both quotes on one line"
			}
			b.WriteString(part)
			s = rest
		case '"':
			part, rest, wrong, want := doubleQuoted(s[1:])
			if wrong != "" {
				return "", wrong, want
			}
			b.WriteString(part)
			s = rest
		case '\\':
			if len(s) == 1 {
				return "", "goes on in the next line", "want the value on one line"
			}
			b.WriteByte(s[1])
			s = s[2:]
		case '$', '`':
			return "", expansion(s[0]), "want the value itself; in single quotes if it has such a character"
		case ';', '&', '|', '<', '>', '(', ')':
			return "", fmt.Sprintf("%q means something to a shell", string(s[0])), "want quotes around the value"
		default:
			b.WriteByte(s[0])
			s = s[1:]
		}
	}
	return b.String(), "", ""
}

// doubleQuoted reads up to the closing quote. A backslash escapes $, `, " and \ (POSIX shell, 2.2.3) and is itself
// before anything else.
func doubleQuoted(s string) (part, rest, wrong, want string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return b.String(), s[i+1:], "", ""
		case '$', '`':
			return "", "", expansion(c), `want the value itself; in single quotes, or with a \ before it`
		case '\\':
			if i+1 < len(s) && strings.IndexByte("$`\"\\", s[i+1]) >= 0 {
				i++
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", `a " that is not closed`, "want both quotes on one line"
}

func expansion(c byte) string {
	if c == '`' {
		return "a command in backticks, which is not run here"
	}
	return "a $ that a shell would expand, which is not done here"
}
