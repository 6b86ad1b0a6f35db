package transcript

import (
	"errors"
	"regexp"
	"strings"
)

// Pages are those that show the transcript, from the root of the checkout.
func Pages() []string { return []string{"README.md", "docs/up.md"} }

// The comments that the transcript stands between on a page.
const (
	begin = "<!-- What mayfly up printed in test/e2e, TestFromNothingToTheFirstJob; -update writes it anew. -->\n```\n"
	end   = "```\n<!-- Until here. -->\n"
)

var errNone = errors.New("no place for the transcript of mayfly up: want the two comments of test/transcript")

// In finds the transcript in a page.
func In(page string) (string, error) {
	_, rest, ok := strings.Cut(page, begin)
	text, _, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", errNone
	}
	return text, nil
}

// Put replaces the transcript in a page.
func Put(page, text string) (string, error) {
	before, rest, ok := strings.Cut(page, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", errNone
	}
	return before + begin + text + end + after, nil
}

// stage begins a line of a build's progress: where, and what.
var stage = regexp.MustCompile(`^ {5}\S+ {2,}\S+`)

// Of is the transcript of what was printed: of lines that tell how one thing goes on, the first.
func Of(printed string) string {
	var out strings.Builder
	last := ""
	for line := range strings.Lines(printed) {
		now := stage.FindString(line)
		if now == "" || now != last {
			out.WriteString(line)
		}
		last = now
	}
	return out.String()
}

var (
	random  = regexp.MustCompile(`\b([0-9A-F]{2}(:[0-9A-F]{2})+|[0-9a-f]{10,})\b`)
	figures = regexp.MustCompile(`[0-9]+([.:][0-9]+)*`)
	units   = regexp.MustCompile(`# (B|KiB|MiB|GiB)\b|#(ms|s|m#s)\b`)
	counted = regexp.MustCompile(`# min # s\b|# s\b`)
)

// Words are a transcript's without its figures, and without where lines were broken for them.
func Words(transcript string) []string {
	t := random.ReplaceAllString(transcript, "#")
	t = figures.ReplaceAllString(t, "#")
	t = units.ReplaceAllString(t, "#")
	t = counted.ReplaceAllString(t, "#")
	return strings.Fields(t)
}
