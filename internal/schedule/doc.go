// Package schedule gives a number for a time of the week: how many warm runners a pool shall have by day and by night.
//
// A schedule is a list of rules, each five cron fields, an equals sign and the number that holds in every minute that
// the fields match:
//
//   - 7-18 * * mon-fri = 4
//   - 10-15 * * sat,sun = 1
//
// The first rule that matches counts. A rule is a state, not a switch: what holds now follows from the clock on the
// wall alone, so a restart at any time, or a clock change, misses nothing. In the hour that comes twice in autumn a rule
// holds twice; one for the hour that spring leaves out holds not at all that day.
//
// Package config checks schedules with it and package fleet follows them. It does no I/O but reading the zone, which is
// in the binary, too.
package schedule
