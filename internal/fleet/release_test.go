package fleet_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mayfly/internal/runner"
	"mayfly/internal/sim/world"
)

// TestAgingRunnerReleaseIsToldOnceADay lives through the days from a release's 14th to its 31st.
func TestAgingRunnerReleaseIsToldOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(s *setup) {
			followsImage(s)
			s.spec.PollInterval, s.spec.Timing.SupplyIdle = time.Hour, time.Hour
		})
		i := someImage(9100, "20261124-1200")
		i.RunnerReleased = time.Now().Add(-14 * 24 * time.Hour)
		b.admin().build(i, "", runner.TagPromoted)
		b.until(time.Hour, "it is ready", func() bool { return b.controller.Status().Ready })
		released := i.RunnerReleased.UTC().Truncate(24 * time.Hour) // the marker tells the day
		at := func(days int) { time.Sleep(time.Until(released.Add(time.Duration(days)*24*time.Hour + time.Hour))) }

		for _, stage := range []struct {
			day   int
			level string
			words string // "" for none
		}{
			{14, "", ""},
			{15, "WARN", "image debian-12 version 20261124-1200 (VM 9100) holds Actions runner 2.335.1, released 15 days ago; from 30 days on GitHub may give it no more jobs; run: mayfly image build debian-12"},
			{24, "WARN", "released 24 days ago"},
			{25, "ERROR", "released 25 days ago; in 5 days GitHub may give it no more jobs; run: mayfly image build debian-12"},
			{29, "ERROR", "in 1 day GitHub may give it no more jobs"},
			{30, "ERROR", "released 30 days ago; GitHub gives a release no more jobs 30 days after the next one is out; run: mayfly image build debian-12"},
		} {
			at(stage.day)
			s := b.controller.Status()
			if !s.Ready {
				t.Errorf("day %d: not ready: %q", stage.day, s.Reasons)
			}
			said := strings.Join(s.Warnings, "\n")
			if stage.words == "" && said != "" || !strings.Contains(said, stage.words) || stage.words != "" && len(s.Warnings) != 1 {
				t.Errorf("day %d: warnings %q, want %q", stage.day, s.Warnings, stage.words)
			}
			var last string
			for line := range strings.Lines(b.log.String()) {
				if strings.Contains(line, "runner release ages") {
					last = line
				}
			}
			if stage.level == "" && last != "" || stage.level != "" && !strings.Contains(last, "level="+stage.level) {
				t.Errorf("day %d: the log says %q, want level %s", stage.day, last, stage.level)
			}
		}
		if n := strings.Count(b.log.String(), "runner release ages"); n != 16 {
			t.Errorf("said %d times from day 15 to day 30, want once a day", n)
		}

		next := someImage(9101, "20261210-0400")
		next.RunnerVersion, next.RunnerReleased = "2.336.0", time.Now().Add(-24*time.Hour)
		b.admin().build(next, "", runner.TagPromoted)
		b.until(time.Hour, "nothing to warn of", func() bool { return len(b.controller.Status().Warnings) == 0 })
	})
}

// TestTemplateWithoutMarkerIsKnownByItsFirstRunner: Packer's templates have no marker, but their disk tells.
func TestTemplateWithoutMarkerIsKnownByItsFirstRunner(t *testing.T) {
	for _, tc := range []struct{ name, file, words string }{
		{
			"it tells", `{"image":"ubuntu-2204","version":"1","runner_version":"2.333.0","runner_released":"2026-10-29","contract":2}`,
			`template "ubuntu-2204-runner-template" (VM 9000) holds Actions runner 2.333.0, released 26 days ago; in 4 days GitHub may give it no more jobs; rebuild the template with the newest Actions runner`,
		},
		{"it tells no day", `{"runner_version":"2.333.0","runner_released":""}`, ""},
		{"it has no such file", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(s *setup) {
					s.guests.Image = world.Image()
					if tc.file != "" {
						s.guests.Image["/opt/actions-runner/mayfly.json"] = tc.file
					}
				})
				if w := b.controller.Status().Warnings; len(w) != 0 {
					t.Errorf("warnings before the first runner: %q", w)
				}
				b.queue(3, time.Minute)
				b.served(time.Hour)
				if got := strings.Join(b.controller.Status().Warnings, "\n"); got != tc.words {
					t.Errorf("warnings %q, want %q", got, tc.words)
				}
				asked := 0
				for _, r := range b.pve.Requests() {
					if strings.Contains(r.Path, "/agent/file-read") && strings.Contains(r.Path, "mayfly.json") {
						asked++
					}
				}
				if asked != 1 {
					t.Errorf("%d guests were asked, want the first alone", asked)
				}
			})
		})
	}
}
