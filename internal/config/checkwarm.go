package config

import (
	"fmt"

	"mayfly/internal/schedule"
)

// checkWarm looks at a pool's warm runners: the rules of their schedules, what the hand-off can do, and the room for them.
func (l *loader) checkWarm(p *FilePool, at string) {
	if path := at + ".time_zone"; !l.bad(path) {
		if _, err := schedule.Zone(p.TimeZone); err != nil {
			f, _ := formOf("time_zone")
			l.problem(l.origins[path], path, fmt.Sprintf("%q is no time zone that is known", p.TimeZone), f.want)
			return
		}
	}
	idle, idleOK := l.mostWarm(p.MinIdleSchedule, at+".min_idle_schedule", p.MinIdle, at+".min_idle")
	spares, sparesOK := l.mostWarm(p.BootedSparesSchedule, at+".booted_spares_schedule", p.BootedSpares, at+".booted_spares")
	if spares > 0 && sparesOK && l.file.Handoff != HandoffAgent && !l.bad("handoff") {
		path := l.givenOf(at+".booted_spares", at+".booted_spares_schedule")
		l.problem(l.origins[path], path, fmt.Sprintf("hand-off %q gives a VM its identity before it starts, so none can be up without one", l.file.Handoff),
			"want handoff: agent, or min_idle instead")
	}
	if !idleOK || !sparesOK || l.bad(at+".max") || l.bad("max_runners") {
		return
	}
	if n := idle + spares; n > p.Max {
		path := l.givenOf(at+".min_idle", at+".min_idle_schedule", at+".booted_spares", at+".booted_spares_schedule")
		l.problem(l.origins[path], path, fmt.Sprintf("up to %d idle runners and booted spares, and max is %d", n, p.Max), "want at most max of both together")
	}
}

// checkWarmRoom warns where all pools together want more warm runners than there may be VMs: those of the last pools
// would never be made.
func (l *loader) checkWarmRoom() {
	if l.bad("max_runners") {
		return
	}
	sum := 0
	for i := range l.file.Pools {
		p, at := &l.file.Pools[i], index("pools", i)
		idle, idleOK := l.mostWarm(p.MinIdleSchedule, at+".min_idle_schedule", p.MinIdle, at+".min_idle")
		spares, sparesOK := l.mostWarm(p.BootedSparesSchedule, at+".booted_spares_schedule", p.BootedSpares, at+".booted_spares")
		if !idleOK || !sparesOK {
			return
		}
		sum += idle + spares
	}
	if len(l.file.Pools) > 1 && sum > l.file.MaxRunners {
		l.warn(l.origins["max_runners"], "max_runners", fmt.Sprintf("%d, and the pools together want up to %d idle runners and booted spares: some will be missing", l.file.MaxRunners, sum))
	}
}

// mostWarm is the highest number that a schedule and the number beside it come to; ok is false when one of them is
// wrong, which is told by then.
func (l *loader) mostWarm(rules []string, path string, base int, basePath string) (most int, ok bool) {
	if l.bad(path) || l.bad(basePath) {
		return 0, false
	}
	for i, rule := range rules {
		if err := schedule.CheckRule(rule); err != nil {
			l.problem(l.origins[path], index(path, i), fmt.Sprintf("%q: %s", rule, err), schedule.Want)
		}
	}
	if l.bad(path) {
		return 0, false
	}
	s, err := schedule.Parse(rules, "UTC")
	return s.Most(base), err == nil
}

// givenOf is the first of the paths that somebody set.
func (l *loader) givenOf(paths ...string) string {
	for _, path := range paths {
		if l.origins.given(path) {
			return path
		}
	}
	return paths[0]
}
