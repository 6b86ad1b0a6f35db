package guides

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"mayfly/internal/cli"
)

var (
	// inlineForm is a command in the midst of a sentence.
	inlineForm = regexp.MustCompile("`(mayfly [^`]+)`")
	flagForm   = regexp.MustCompile(`^--?[a-zA-Z][a-z-]*`)
)

// mayflyCommands gives every call of the program that a guide shows, in boxes and in sentences, cut off where the shell goes on.
func mayflyCommands(text string) []string {
	var all []string
	for _, line := range append(commands(text), inline(text)...) {
		line = strings.ReplaceAll(line, " 2>&1", "")
		for _, part := range regexp.MustCompile(`\s*(?:&&|\|\||\||;)\s*`).Split(line, -1) {
			part = regexp.MustCompile(`^(?:\S*/)?mayfly `).ReplaceAllString(part, "mayfly ")
			if strings.HasPrefix(part, "mayfly ") && !strings.HasPrefix(part, "mayfly  ") { // a list of files has more
				all = append(all, part)
			}
		}
	}
	return all
}

func inline(text string) []string {
	var all []string
	for _, m := range inlineForm.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// TestEveryCommandIsInTheBinary looks up each command that a guide shows, with its flags.
func TestEveryCommandIsInTheBinary(t *testing.T) {
	root := cli.NewRoot(cli.Options{})
	texts := sources(t)
	checked := 0
	for _, name := range guides(t) {
		for _, call := range mayflyCommands(guide(t, name)) {
			w := words(call)[1:]
			if said(texts, `"`+call+`"`) { // a message of the log
				continue
			}
			cmd := descend(root, &w)
			if cmd.HasSubCommands() && len(w) > 0 && !strings.HasPrefix(w[0], "-") && !isPlaceholder(w[0]) {
				t.Errorf("%s: %q: %s has no command %q", name, call, cmd.CommandPath(), w[0])
				continue
			}
			checked++
			for _, arg := range w {
				f := flagForm.FindString(arg)
				if f == "" {
					continue
				}
				long := strings.TrimPrefix(f, "--")
				if cmd.Flags().Lookup(long) == nil && cmd.InheritedFlags().Lookup(long) == nil && long != "help" &&
					(len(f) != 2 || cmd.Flags().ShorthandLookup(f[1:]) == nil && cmd.InheritedFlags().ShorthandLookup(f[1:]) == nil) {
					t.Errorf("%s: %q: %s has no flag %s", name, call, cmd.CommandPath(), f)
				}
			}
		}
	}
	if checked < 40 {
		t.Errorf("checked %d commands, want 40 at least: are they found at all?", checked)
	}
}

// descend follows the words of a call down to the command that they name.
func descend(root *cobra.Command, w *[]string) *cobra.Command {
	cmd := root
	for len(*w) > 0 {
		at := slices.IndexFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == (*w)[0] })
		if at < 0 {
			break
		}
		cmd, *w = cmd.Commands()[at], (*w)[1:]
	}
	return cmd
}

// isPlaceholder reports whether a word stands for something: VERSION, [FILE], ….
func isPlaceholder(word string) bool {
	return strings.ToUpper(word) == word
}

func TestCommandsAreFoundInBoxesAndSentences(t *testing.T) {
	text := "As `mayfly run --drain` says:\n\n```\nsource x && bin/mayfly check --json | jq .   # mayfly none\nmayfly_2.deb\n```\n"
	want := []string{"mayfly check --json", "mayfly run --drain"}
	if got := mayflyCommands(text); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
