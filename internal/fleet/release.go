package fleet

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"mayfly/internal/handoff"
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

// unknown reports whether nobody knows yet what the runner's template holds.
func (p *planner) unknown(e *entry) bool {
	pool, _ := p.s.Pool(e.pool)
	t, ok := p.o.supply.templates[pool.Base()].ofVersion(e.template)
	_, told := p.o.ledger.abouts[e.template]
	return ok && t.image.Name == "" && !told
}

// learn asks a guest that is up what its template holds, where that is wanted, and returns what notes the answer.
func (c *Controller) learn(ctx context.Context, a action) func(*entry) {
	if !a.about {
		return func(*entry) {}
	}
	about, err := c.handoff.About(ctx, handoff.VM{Node: a.node, VMID: a.vmid})
	return func(e *entry) {
		if err != nil { // the next runner may tell
			c.log.Debug("image tells nothing", "runner", e.name, "vmid", e.vmid, "template", e.template, "reason", err)
			return
		}
		c.ledger.abouts[e.template] = about
	}
}

// release gives the release of the Actions runner in a template, and its day; zero when nobody knows it.
func (l *ledger) release(t *template) (version string, day time.Time) {
	if t.image.Name != "" {
		return t.image.RunnerVersion, t.image.RunnerReleased
	}
	return l.abouts[t.id].RunnerVersion, l.abouts[t.id].RunnerReleased
}

// aging says how old the release of the Actions runner in a template is; warns is false while that is no matter, or
// nobody knows its day.
func aging(t *template, version string, released, now time.Time) (level slog.Level, words string, warns bool) {
	age := now.Sub(released)
	if released.IsZero() || age < releaseWarns {
		return 0, "", false
	}
	words = fmt.Sprintf("%s holds Actions runner %s, released %s ago", t.words(), version, days(age))
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
		t, _ := choose(pool, &c.seen, c.ledger, now)
		version, released := c.ledger.release(t)
		level, words, warns := aging(t, version, released, now)
		if _, said := aged[t.id]; said || !warns {
			continue
		}
		warnings = append(warnings, words)
		aged[t.id] = int(now.Sub(released) / day)
		if last, told := c.aged[t.id]; !told || last != aged[t.id] {
			c.log.Log(context.Background(), level, "runner release ages", "template", t.cfg.Name, "vmid", t.id,
				"runner_version", version, "days", aged[t.id], "reason", words)
		}
	}
	c.aged = aged
	slices.Sort(warnings)
	return warnings
}
