package world

import (
	"strconv"
	"strings"
)

// token is a word or an operator of a script.
type token struct {
	text     string
	operator bool
	quoted   bool
	parts    []piece // of a word
}

// piece is a part of a word: text, or a variable.
type piece struct {
	text     string
	variable bool
}

// joins reports whether the token ends a command.
func (t token) joins() bool {
	return t.operator && (t.text == ";" || t.text == "&&" || t.text == "||")
}

// split cuts a script into tokens. It gives a problem for what isn't closed.
func split(script string) (tokens []token, problem string) {
	var word *token
	flush := func() {
		if word != nil {
			tokens = append(tokens, *word)
			word = nil
		}
	}
	add := func(p piece, quoted bool) {
		if word == nil {
			word = &token{}
		}
		word.quoted = word.quoted || quoted
		word.parts = append(word.parts, p)
	}
	operator := func(text string) {
		flush()
		tokens = append(tokens, token{text: text, operator: true})
	}
	for i := 0; i < len(script); {
		rest := script[i:]
		switch c := script[i]; {
		case c == '\n' || c == ';':
			operator(";")
			i++
		case c == ' ' || c == '\t' || c == '\r':
			flush()
			i++
		case c == '#' && word == nil:
			line, _, _ := strings.Cut(rest, "\n")
			i += len(line)
		case strings.HasPrefix(rest, "&&") || strings.HasPrefix(rest, "||") || strings.HasPrefix(rest, ">>"):
			operator(rest[:2])
			i += 2
		case strings.HasPrefix(rest, "2>&1") && word == nil:
			i += len("2>&1") // everything is in one log anyway
		case c == '>':
			operator(">")
			i++
		case c == '|' || c == '&' || c == '<' || c == '(' || c == ')' || c == '`':
			return nil, "syntax error: this shell has no " + strconv.Quote(string(c))
		case c == '\'':
			end := strings.IndexByte(rest[1:], '\'')
			if end < 0 {
				return nil, "syntax error: Unterminated quoted string"
			}
			add(piece{text: rest[1 : 1+end]}, true)
			i += end + 2
		case c == '"':
			used, ok := doubleQuoted(rest, add)
			if !ok {
				return nil, "syntax error: Unterminated quoted string"
			}
			i += used
		case c == '\\' && len(rest) > 1:
			if rest[1] != '\n' {
				add(piece{text: rest[1:2]}, true)
			}
			i += 2
		case c == '$':
			p, used := variable(rest)
			add(p, false)
			i += used
		default:
			add(piece{text: rest[:1]}, false)
			i++
		}
	}
	flush()
	return tokens, ""
}

// doubleQuoted reads "…" at the start of text and tells how long it is.
func doubleQuoted(text string, add func(piece, bool)) (int, bool) {
	add(piece{}, true)
	for i := 1; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			return i + 1, true
		case c == '\\' && i+1 < len(text) && strings.IndexByte("\"\\$`", text[i+1]) >= 0:
			add(piece{text: text[i+1 : i+2]}, true)
			i += 2
		case c == '$':
			p, used := variable(text[i:])
			add(p, true)
			i += used
		default:
			add(piece{text: text[i : i+1]}, true)
			i++
		}
	}
	return 0, false
}

// variable reads $NAME, ${NAME} or $? at the start of text; a "$" alone is itself.
func variable(text string) (piece, int) {
	rest := text[1:]
	if strings.HasPrefix(rest, "?") {
		return piece{text: "?", variable: true}, 2
	}
	if strings.HasPrefix(rest, "{") {
		if end := strings.IndexByte(rest, '}'); end > 0 {
			return piece{text: rest[1:end], variable: true}, end + 2
		}
		return piece{text: "$"}, 1
	}
	n := 0
	for n < len(rest) && nameRune(rune(rest[n])) {
		n++
	}
	if n == 0 {
		return piece{text: "$"}, 1
	}
	return piece{text: rest[:n], variable: true}, n + 1
}

// expand is a word with its variables filled in; nothing is split again.
func (s *shell) expand(t token) string {
	if t.operator {
		return t.text
	}
	var b strings.Builder
	for _, p := range t.parts {
		switch {
		case !p.variable:
			b.WriteString(p.text)
		case p.text == "?":
			b.WriteString(strconv.Itoa(s.status))
		default:
			b.WriteString(s.vars[p.text])
		}
	}
	return b.String()
}
