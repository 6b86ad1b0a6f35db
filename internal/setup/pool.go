package setup

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"mayfly/internal/config"
	"mayfly/internal/runner"
)

// labels asks what jobs have to ask for.
func (w *wizard) labels(ctx context.Context) error {
	const key = "pools[0].labels"
	_, repo, _ := strings.Cut(w.note(targetKey), "/")
	q := question{key: key, flag: "--labels", ask: "Labels (beside self-hosted, with commas)", def: config.PoolName(repo) + ",linux,x64", why: "the repository's name and what runners are"}
	q.check = func(_ context.Context, text string) (string, error) {
		list := splitLabels(text)
		if len(list) == 0 {
			return "", errors.New("no labels; want at least one, or jobs for any self-hosted runner would come here")
		}
		joined := strings.Join(list, ",")
		return joined, config.CheckValue(key, joined)
	}
	value, from, err := w.ask(ctx, q)
	if err != nil {
		return err
	}
	w.put(key, value, from)
	w.con.say("  In workflows: runs-on: [%s]", strings.Join(runner.Pool{Labels: splitLabels(value)}.RegistrationLabels(), ", "))
	return nil
}

// splitLabels reads labels with commas, each once, without self-hosted, which every runner has.
func splitLabels(text string) []string {
	var list []string
	seen := map[string]bool{runner.SelfHosted: true}
	for _, label := range strings.FieldsFunc(strings.Trim(text, "[]"), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
		if !seen[strings.ToLower(label)] {
			seen[strings.ToLower(label)] = true
			list = append(list, label)
		}
	}
	return list
}

// maxRunners asks how many VMs there may be at once.
func (w *wizard) maxRunners(ctx context.Context) error {
	const key = "max_runners"
	if w.room != "" {
		w.con.say("  %s", w.room)
	}
	value, from, err := w.ask(ctx, question{
		key: key, flag: "--max-runners", ask: "Runners at once", def: config.Default(key), why: "one is a start",
		check: func(_ context.Context, text string) (string, error) {
			if err := config.CheckValue(key, text); err != nil {
				return "", err
			}
			if n, _ := strconv.Atoi(text); n > w.range0.Size() {
				return "", fmt.Errorf("%s runners don't fit into the %d VMIDs %s; want fewer, or a wider range", text, w.range0.Size(), printRange(w.range0))
			}
			return text, nil
		},
	})
	if err == nil {
		w.put(key, value, from)
	}
	return err
}
