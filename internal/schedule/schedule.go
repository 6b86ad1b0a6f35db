package schedule

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // small containers have no zones of their own

	"github.com/robfig/cron/v3"
)

// MaxValue bounds the number of a rule: as many VMs as an installation may have.
const MaxValue = 10000

// leastMinutes is in how many minutes of an hour a rule must hold. "0 7 * * *" reads like a switch at seven, and would
// hold for one minute a day.
const leastMinutes = 5

// Want is the accepted form of a rule, for messages.
const Want = `want five cron fields, = and a number, for example "* 7-18 * * mon-fri = 4"`

// Schedule gives a number for a time. Its zero value has no rule.
type Schedule struct {
	zone  *time.Location
	rules []rule
}

// rule is one line of a schedule.
type rule struct {
	minutes *cron.SpecSchedule
	value   int
}

// Zone returns the time zone of that name ("Europe/Berlin", "UTC"), or an error that tells the accepted form. A
// machine's own zone is no name: the same file would mean something else on another machine.
func Zone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if name == "" || name == "Local" || err != nil {
		return nil, fmt.Errorf("time zone %q is not known; want a name of the IANA list such as Europe/Berlin or UTC", name)
	}
	return zone, nil
}

// Parse makes a schedule of rules, whose fields are of the wall clock in that zone. An error names the rule, what is
// wrong with it, and the accepted form.
func Parse(rules []string, zone string) (Schedule, error) {
	if len(rules) == 0 {
		return Schedule{}, nil
	}
	loc, err := Zone(zone)
	if err != nil {
		return Schedule{}, err
	}
	s := Schedule{zone: loc}
	for _, text := range rules {
		r, err := parseRule(text)
		if err != nil {
			return Schedule{}, fmt.Errorf("rule %q: %w; %s", text, err, Want)
		}
		s.rules = append(s.rules, r)
	}
	return s, nil
}

// CheckRule returns an error that tells what is wrong with a rule that [Parse] would refuse; without the accepted form.
func CheckRule(text string) error {
	_, err := parseRule(text)
	return err
}

func parseRule(text string) (rule, error) {
	fields, number, ok := strings.Cut(text, "=")
	if !ok {
		return rule{}, errors.New("no = and number")
	}
	value, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || value < 0 || value > MaxValue {
		return rule{}, fmt.Errorf("%q is not a whole number from 0 to %d", strings.TrimSpace(number), MaxValue)
	}
	if n := len(strings.Fields(fields)); n != 5 {
		return rule{}, fmt.Errorf("%d cron fields", n)
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(fields)
	if err != nil {
		return rule{}, err
	}
	minutes, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return rule{}, errors.New("not five cron fields")
	}
	minutes.Location = time.UTC
	if bits.OnesCount64(minutes.Minute&minuteBits) < leastMinutes {
		return rule{}, fmt.Errorf("it would hold in fewer than %d minutes of an hour: the fields say while it holds, so the first is usually *", leastMinutes)
	}
	if minutes.Next(time.Date(2023, 12, 31, 23, 59, 0, 0, time.UTC)).IsZero() { // a leap year follows
		return rule{}, errors.New("that day never comes")
	}
	return rule{minutes: minutes, value: value}, nil
}

// minuteBits are the minutes of an hour in a field of package cron, which keeps a mark of its own in the highest bit.
const minuteBits = 1<<60 - 1

// At gives the number that holds at t: that of the first rule that matches, base where none does.
func (s Schedule) At(t time.Time, base int) int {
	for _, r := range s.rules {
		if r.holds(t.In(s.zone)) {
			return r.value
		}
	}
	return base
}

// Most is the highest number that ever holds, as far as the rules tell, base among them.
func (s Schedule) Most(base int) int {
	most := base
	for _, r := range s.rules {
		most = max(most, r.value)
	}
	return most
}

// holds compares the wall clock with the fields. As in cron, the day matches either field when both are set, and has to
// match the one that is when the other is *.
func (r rule) holds(wall time.Time) bool {
	const star = 1 << 63 // as package cron marks a field that takes all
	m := r.minutes
	has := func(field uint64, n int) bool { return field&(1<<uint(n)) != 0 }
	day, weekday := has(m.Dom, wall.Day()), has(m.Dow, int(wall.Weekday()))
	onDay := day || weekday
	if m.Dom&star != 0 || m.Dow&star != 0 {
		onDay = day && weekday
	}
	return onDay && has(m.Month, int(wall.Month())) && has(m.Hour, wall.Hour()) && has(m.Minute, wall.Minute())
}
