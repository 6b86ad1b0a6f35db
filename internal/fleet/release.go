package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// The ages of a release of the Actions runner. GitHub gives jobs only to runners that have installed each release
// within 30 days (docs.github.com: Self-hosted runners reference, "Runner software updates on self-hosted runners");
// runners of an image update never, so the image has to be rebuilt before.
const (
	releaseWarns  = 15 * day
	releaseAlarms = 25 * day
	releaseEnds   = 30 * day

	day = 24 * time.Hour
)

// aging says how old the release of the Actions runner in a template is; warns is false while that is no matter, or
// nobody knows its day.
func (t template) aging(now time.Time) (level slog.Level, words string, warns bool) {
	if t.image.RunnerReleased.IsZero() {
		return 0, "", false
	}
	age := now.Sub(t.image.RunnerReleased)
	if age < releaseWarns {
		return 0, "", false
	}
	words = fmt.Sprintf("%s holds Actions runner %s, released %s ago", t.words(), t.image.RunnerVersion, days(age))
	level = slog.LevelWarn
	switch {
	case age >= releaseEnds:
		level = slog.LevelError
		words += "; GitHub gives a release no more jobs 30 days after the next one is out"
	case age >= releaseAlarms:
		level = slog.LevelError
		words += fmt.Sprintf("; in %s GitHub may give it no more jobs", days(releaseEnds-age+day-1))
	default:
		words += "; from 30 days on GitHub may give it no more jobs"
	}
	return level, words + "; " + t.remedy(), true
}

// days writes whole days.
func days(d time.Duration) string {
	if d/day == 1 {
		return "1 day"
	}
	return fmt.Sprintf("%d days", d/day)
}

// releases lists what is to be said of the releases in the templates that pools are cloned from, and says it in the log
// once a day.
func (c *Controller) releases(now time.Time) []string {
	warnings := []string{}
	aged := map[int]int{}
	for _, pool := range c.spec.Pools {
		t, _ := choose(pool, c.seen, c.ledger, now)
		level, words, warns := t.aging(now)
		if _, said := aged[t.id]; said || !warns {
			continue
		}
		warnings = append(warnings, words)
		aged[t.id] = int(now.Sub(t.image.RunnerReleased) / day)
		if last, told := c.aged[t.id]; !told || last != aged[t.id] {
			c.log.Log(context.Background(), level, "runner release ages", "template", t.cfg.Name, "vmid", t.id,
				"runner_version", t.image.RunnerVersion, "days", aged[t.id], "reason", words)
		}
	}
	c.aged = aged
	slices.Sort(warnings)
	return warnings
}
