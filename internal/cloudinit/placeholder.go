package cloudinit

import (
	"fmt"
	"strings"
)

// The placeholders.
const (
	repoURL           = "repo_url"
	registrationToken = "registration_token"
	runnerLabels      = "runner_labels"
	runnerName        = "runner_name"
	runnerUser        = "runner_user"
	jitConfig         = "jit_config"
	poolName          = "pool_name"
	jobsRepositories  = "jobs_repositories"
	jobsEvents        = "jobs_events"
	jobsForks         = "jobs_forks"
)

// Placeholders returns the names that a template may use, in the order of the documentation.
func Placeholders() []string {
	return []string{repoURL, registrationToken, runnerLabels, runnerName, runnerUser, jitConfig, poolName, jobsRepositories, jobsEvents, jobsForks}
}

// maxQuote bounds how much of a template an error repeats.
const maxQuote = 40

// piece is a part of a template: text as it is, or a placeholder.
type piece struct {
	text string
	name string // of the placeholder; "" for text
	line int
}

// scan splits a template as Packer's templatefile does (HCL's template language: ${ … } interpolates, %{ … } directs,
// and $${ and %%{ stand for ${ and %{), as far as a template with nothing but known variables needs it.
func scan(text string) ([]piece, []Problem) {
	var (
		pieces   []piece
		problems []Problem
		plain    strings.Builder
		line     = 1
	)
	for i := 0; i < len(text); {
		rest := text[i:]
		switch {
		case strings.HasPrefix(rest, "$${"), strings.HasPrefix(rest, "%%{"):
			plain.WriteString(rest[1:3])
			i += 3
		case strings.HasPrefix(rest, "%{"):
			problems = append(problems, Problem{line, "%{ begins a directive, and those can't be followed here; write %%{ for a plain %{"})
			i += 2
		case strings.HasPrefix(rest, "${"):
			inside, _, closed := strings.Cut(firstLine(rest[2:]), "}")
			if !closed {
				problems = append(problems, Problem{line, "${ without its } on the same line; write $${ for a plain ${"})
				i += 2
				continue
			}
			name := strings.Trim(inside, " \t")
			if p, bad := unknown(name, inside); bad {
				problems = append(problems, Problem{line, p})
			} else {
				pieces = append(pieces, piece{text: plain.String()}, piece{name: name, line: line})
				plain.Reset()
			}
			i += len("${") + len(inside) + len("}")
		default:
			if text[i] == '\n' {
				line++
			}
			plain.WriteByte(text[i])
			i++
		}
	}
	return append(pieces, piece{text: plain.String()}), problems
}

// unknown says what is wrong with a placeholder that nobody fills in.
func unknown(name, inside string) (string, bool) {
	known := Placeholders()
	for _, k := range known {
		if name == k {
			return "", false
		}
	}
	list := byNearness(name, known)
	for i, k := range list {
		list[i] = "${" + k + "}"
	}
	last := len(list) - 1
	return fmt.Sprintf("unknown placeholder ${%s}; want %s or %s, or write $${%[1]s} for the plain text",
		shorten(inside), strings.Join(list[:last], ", "), list[last]), true
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func shorten(s string) string {
	if r := []rune(s); len(r) > maxQuote {
		return string(r[:maxQuote]) + "…"
	}
	return s
}
