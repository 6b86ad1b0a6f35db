package setup

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"mayfly/internal/config"
	"mayfly/internal/runner"
)

// question asks for the value of one key.
type question struct {
	key string
	// ask is the question in a few words, flag how else it can be answered.
	ask, flag string
	// offers are values to choose from; another one may be accepted all the same. Their numbers choose them, too.
	offers []offer
	// def is the default where an existing mayfly.yaml has none, and why says where it is from; "" for no default.
	def, why string
	// hidden says that the answer is a secret.
	hidden bool
	// check tries an answer and gives the value to keep. Its error says what is wrong and what is accepted; one of type
	// earlierError sends back to the question before.
	check func(ctx context.Context, answer string) (string, error)
}

// short is the question without the hints in brackets, name the same in the middle of a sentence.
func (q question) short() string {
	before, _, _ := strings.Cut(q.ask, " (")
	return before
}

func (q question) name() string {
	short := q.short()
	if len(short) > 1 && strings.ToUpper(short[:2]) == short[:2] {
		return short // VMIDs
	}
	return strings.ToLower(short[:1]) + short[1:]
}

// offer is a value with a word on it.
type offer struct{ value, about string }

// earlierError is trouble that an earlier answer may be the reason of.
type earlierError struct{ error }

func (e earlierError) Unwrap() error { return e.error }

// ErrNoAnswer says that a question has neither an answer nor a default.
var ErrNoAnswer = errors.New("no answer")

// attempts is how often a wrong answer is asked for again where nobody sits in front of a terminal.
const attempts = 3

// ask gets a good answer: from what was said before, else by asking. It gives the value and who said it.
func (w *wizard) ask(ctx context.Context, q question) (value, from string, err error) {
	if text, from, ok := w.said(q); ok {
		value, err := q.check(ctx, text)
		w.con.say("%s: %s  (%s)", q.short(), shown(q, text), from)
		if err == nil || ctx.Err() != nil || w.o.Yes {
			return value, from, w.instead(q, err)
		}
		delete(w.given, q.key)
		delete(w.given, q.key+"_file")
		if _, back := errors.AsType[earlierError](err); back {
			return "", "", err
		}
		w.wrong(err)
	}
	def, why := q.def, q.why
	if s, ok := w.before[q.key]; ok {
		def, why = s.Value, "as before"
		if q.hidden {
			def = s.Secret.Reveal()
		}
	}
	if w.o.Yes {
		return w.takeDefault(ctx, q, def, why)
	}
	w.offer(q)
	for try := 1; ; try++ {
		text, err := w.prompt(ctx, q, def)
		if err != nil {
			return "", "", w.instead(q, err)
		}
		from := "asked"
		if text == "" {
			text, from = def, why
		}
		switch {
		case text == "":
			err = ErrNoAnswer
		case !q.hidden && looksSecret(text):
			err = errors.New("that looks like a secret, which isn't wanted here; make a new one where this one was shown")
		default:
			if value, err = q.check(ctx, text); err == nil {
				return value, from, nil
			}
		}
		if _, back := errors.AsType[earlierError](err); back || ctx.Err() != nil {
			return "", "", err
		}
		if !w.con.terminal && try == attempts {
			return "", "", fmt.Errorf("%s: %d wrong answers: %w", q.name(), attempts, err)
		}
		w.wrong(err)
	}
}

// said is an answer that was given beforehand.
func (w *wizard) said(q question) (text, from string, ok bool) {
	text, from, ok = w.answer(q.key)
	if ok && q.hidden {
		text = w.given[q.key].Secret.Reveal()
	}
	return text, from, ok
}

func (w *wizard) takeDefault(ctx context.Context, q question, def, why string) (value, from string, err error) {
	if def == "" {
		return "", "", w.instead(q, ErrNoAnswer)
	}
	w.con.say("%s: %s  (%s)", q.short(), shown(q, def), why)
	value, err = q.check(ctx, def)
	return value, why, w.instead(q, err)
}

// instead adds to an error how the answer can be given without being asked.
func (w *wizard) instead(q question, err error) error {
	if err == nil || errors.Is(err, ErrInterrupted) {
		return err
	}
	if _, back := errors.AsType[earlierError](err); back && !w.o.Yes {
		return err
	}
	if variable := config.Variable(q.key); variable != "" {
		return fmt.Errorf("%s: %w; give it by %s or %s", q.name(), err, q.flag, variable)
	}
	return fmt.Errorf("%s: %w; give it by %s", q.name(), err, q.flag)
}

// wrong says what is wrong about an answer.
func (w *wizard) wrong(err error) { w.con.say("  no: %s", err) }

// widestOffer is how far the words on offers are moved to the right to stand below each other.
const widestOffer = 32

func (w *wizard) offer(q question) {
	wide := 0
	for _, o := range q.offers {
		wide = max(wide, len([]rune(o.value)))
	}
	wide = min(wide, widestOffer) // a longer one pushes its own word alone
	for i, o := range q.offers {
		w.con.say("%s", strings.TrimRight(fmt.Sprintf("  %d) %-*s  %s", i+1, wide, o.value, o.about), " "))
	}
}

func (w *wizard) prompt(ctx context.Context, q question, def string) (string, error) {
	if q.hidden {
		known := ""
		if def != "" {
			known = " [as before]"
		}
		return w.con.hidden(ctx, q.ask+known+" (not shown): ")
	}
	known := ""
	if def != "" {
		known = " [" + def + "]"
	}
	text, err := w.con.line(ctx, q.ask+known+": ")
	if err != nil {
		return "", err
	}
	return q.choose(text), nil
}

// choose turns the number of an offer into its value.
func (q question) choose(text string) string {
	n, err := strconv.Atoi(text)
	for _, o := range q.offers {
		if o.value == text {
			return text
		}
	}
	if err != nil || n < 1 || n > len(q.offers) {
		return text
	}
	return q.offers[n-1].value
}

// secretForm is what secrets look like: Proxmox's are UUIDs, GitHub's begin so (docs, "GitHub's token formats").
var secretForm = regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(gh[pousr]|github_pat)_[a-z0-9_]{20,}`)

// looksSecret reports whether a text is a secret, or holds one.
func looksSecret(text string) bool { return secretForm.MatchString(text) }

func shown(q question, text string) string {
	if q.hidden || looksSecret(text) {
		return runner.Redacted
	}
	return text
}

// together asks questions whose answers are only right together, from the first again where a later one says so.
func (w *wizard) together(ctx context.Context, questions ...func(context.Context) error) error {
	for try := 1; ; try++ {
		var err error
		for _, ask := range questions {
			if err = ask(ctx); err != nil {
				break
			}
		}
		if _, back := errors.AsType[earlierError](err); !back || ctx.Err() != nil || w.o.Yes {
			return err
		}
		if !w.con.terminal && try == attempts {
			return fmt.Errorf("%d wrong answers: %w", attempts, err)
		}
		w.wrong(err)
	}
}
