package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mayfly/internal/schedule"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestTheFirstRuleThatMatchesHolds(t *testing.T) {
	day := []string{"* 7-18 * * mon-fri = 4", "30-59 6 * * mon-fri = 2", "* * * * sat,sun = 0"}
	for _, tc := range []struct {
		name, zone, when string
		rules            []string
		want             int
	}{
		{"in a window", "UTC", "2026-11-24T07:00:00Z", day, 4},
		{"its last second", "UTC", "2026-11-24T18:59:59Z", day, 4},
		{"just after", "UTC", "2026-11-24T19:00:00Z", day, 9},
		{"a part of an hour", "UTC", "2026-11-24T06:30:00Z", day, 2},
		{"just before it", "UTC", "2026-11-24T06:29:59Z", day, 9},
		{"another day", "UTC", "2026-11-28T12:00:00Z", day, 0},
		{"no rule", "UTC", "2026-11-24T12:00:00Z", nil, 9},
		{"another zone", "Asia/Tokyo", "2026-11-23T22:00:00Z", day, 4},
		{"the first of two", "UTC", "2026-11-24T12:00:00Z", []string{"* 12 * * * = 1", "* * * * * = 2"}, 1},
		{"either day field", "UTC", "2026-11-24T12:00:00Z", []string{"* * 1 * tue = 5"}, 5},
		// Berlin goes from 02:00 to 03:00 on 2027-03-28, and from 03:00 back to 02:00 on 2026-10-25.
		{"before the gap of spring", "Europe/Berlin", "2027-03-28T00:59:59Z", []string{"* 2 * * * = 5", "* 3 * * * = 6"}, 9},
		{"after it", "Europe/Berlin", "2027-03-28T01:00:00Z", []string{"* 2 * * * = 5", "* 3 * * * = 6"}, 6},
		{"the hour that comes twice", "Europe/Berlin", "2026-10-25T00:30:00Z", []string{"* 2 * * * = 5"}, 5},
		{"the second time", "Europe/Berlin", "2026-10-25T01:30:00Z", []string{"* 2 * * * = 5"}, 5},
		{"after both", "Europe/Berlin", "2026-10-25T02:00:00Z", []string{"* 2 * * * = 5"}, 9},
		{"seven o'clock in summer", "Europe/Berlin", "2026-10-23T05:00:00Z", day, 4},
		{"and in winter", "Europe/Berlin", "2026-10-26T05:59:00Z", day, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := schedule.Parse(tc.rules, tc.zone)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.At(at(t, tc.when), 9); got != tc.want {
				t.Errorf("%d at %s, want %d", got, tc.when, tc.want)
			}
		})
	}
}

func TestWhatIsNoRuleSaysWhatIsWanted(t *testing.T) {
	for text, words := range map[string]string{
		"":                            "no = and number",
		"* 7-18 * * mon-fri":          "no = and number",
		"* 7-18 * * mon-fri = many":   `"many" is not a whole number from 0 to 10000`,
		"* 7-18 * * mon-fri = -1":     `"-1" is not`,
		"* 7-18 * * mon-fri = 1 = 2":  `"1 = 2" is not`,
		"* 7-18 * mon-fri = 4":        "4 cron fields",
		"@daily = 4":                  "1 cron fields",
		"* 7-25 * * * = 4":            "above maximum",
		"0 7 * * * = 4":               "fewer than 5 minutes of an hour",
		"* * 31 2 * = 4":              "never comes",
		"TZ=UTC * 7 * * * = 4":        "is not a whole number",
		"* * * * mon-fry = 4":         "failed to parse int from fry",
		"* 18-7 * * * = 4":            "beyond end of range",
		strings.Repeat("9", 40) + "=": "is not a whole number",
	} {
		_, err := schedule.Parse([]string{text}, "UTC")
		if err == nil || !strings.Contains(err.Error(), words) || !strings.HasSuffix(err.Error(), schedule.Want) {
			t.Errorf("%q: %v, want %q", text, err, words)
		}
	}
	for _, zone := range []string{"", "Local", "Mars/Olympus", "../etc/passwd"} {
		if _, err := schedule.Parse([]string{"* * * * * = 1"}, zone); err == nil || !strings.Contains(err.Error(), "Europe/Berlin") {
			t.Errorf("zone %q: %v", zone, err)
		}
	}
}

// TestRuleHoldsWhereCronWouldRun holds the match against the library's own reckoning of the next time, in a zone without
// clock changes, where the two must agree.
func TestRuleHoldsWhereCronWouldRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		field := func(name string, low, high int) string {
			a, b := rapid.IntRange(low, high).Draw(t, name+" from"), rapid.IntRange(low, high).Draw(t, name+" to")
			return rapid.SampledFrom([]string{"*", fmt.Sprintf("%d-%d", min(a, b), max(a, b))}).Draw(t, name)
		}
		days := []string{"*", "1-20", "*/2"}
		cron := fmt.Sprintf("%s %s %s %s %s", rapid.SampledFrom([]string{"*", "10-40", "*/7"}).Draw(t, "minutes"), field("hours", 0, 23),
			rapid.SampledFrom(days).Draw(t, "days"), field("months", 1, 12), field("weekdays", 0, 6))
		s, err := schedule.Parse([]string{cron + " = 1"}, "UTC")
		if err != nil {
			t.Fatal(err)
		}
		when := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 2*365*24*60).Draw(t, "minute")) * time.Minute)
		if holds := s.At(when, 0) == 1; holds != cronRuns(t, cron, when) {
			t.Errorf("%q at %s: %v, the library says otherwise", cron, when, holds)
		}
	})
}

// FuzzParse holds of any rule: it is refused in one line, or gives its number or the base at any time.
func FuzzParse(f *testing.F) {
	for _, rule := range []string{"* 7-18 * * mon-fri = 4", "*/5 * 1,15 jan-mar ? = 0", "0 7 * * * = 4", "TZ= = 1", "@daily = 1", "* * 31 2 * = 4"} {
		f.Add(rule, int64(1_795_000_000))
	}
	f.Fuzz(func(t *testing.T, rule string, unix int64) {
		s, err := schedule.Parse([]string{rule}, "Europe/Berlin")
		if (err == nil) != (schedule.CheckRule(rule) == nil) {
			t.Fatalf("%q: Parse says %v, CheckRule %v", rule, err, schedule.CheckRule(rule))
		}
		if err != nil {
			return
		}
		most := s.Most(0)
		if got := s.At(time.Unix(unix%4_000_000_000, 0), -1); got != -1 && got != most {
			t.Errorf("%q: %d, neither the base nor %d", rule, got, most)
		}
	})
}
