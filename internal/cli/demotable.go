package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mayfly/internal/runner"
)

// demoTable is the looks of the table.
type demoTable struct {
	// width and rows are the room there is.
	width, rows int
	color       bool
	title       string
	notes       []string
}

// The columns before the last one, which takes what is left.
const demoColumns = "%-14s  %-9s  %7s  %7s  %4s  %s"

// lines makes the table.
func (t demoTable) lines(m *demoModel, now time.Time) []string {
	done, running, waiting := m.counts()
	head := []string{
		t.bold(t.fit(t.title)),
		t.fit(fmt.Sprintf("%s   %s done, %d running, %d waiting; %s alive", seconds(now.Sub(m.began)), count(done, "job"), running, waiting, count(m.alive, "VM"))),
		"",
		t.dim(t.fit(fmt.Sprintf(demoColumns, "JOB", "STATE", "WAITED", "RAN", "VM", "REASON OR RUNNER"))),
	}
	room := t.rows - len(head) - len(t.notes)
	rows := m.shown(max(room, 1))
	if hidden := len(m.jobs) - len(rows); hidden > 0 {
		rows = m.shown(max(room-1, 1))
	}
	lines := head
	for _, j := range rows {
		lines = append(lines, t.row(j, now))
	}
	if hidden := len(m.jobs) - len(rows); hidden > 0 {
		lines = append(lines, t.dim(t.fit(fmt.Sprintf("and %s", count(hidden, "more job")))))
	}
	for _, n := range t.notes {
		lines = append(lines, t.fit(n))
	}
	return lines
}

func (t demoTable) row(j *demoJob, now time.Time) string {
	waited, ran := since(j.queued, j.started, now), ""
	if !j.started.IsZero() {
		ran = since(j.started, j.ended, now)
	} else if !j.ended.IsZero() {
		waited = since(j.queued, j.ended, now)
	}
	vm := ""
	if j.vmid != 0 {
		vm = strconv.Itoa(j.vmid)
	}
	text := t.fit(fmt.Sprintf(demoColumns, j.name, j.state, waited, ran, vm, j.aside()))
	switch {
	case j.over():
		return t.dim(text)
	case j.state == "running":
		return t.paint("32", text)
	case !j.ended.IsZero() && j.state != "success":
		return t.paint("31", text)
	}
	return text
}

// aside is the last column: why a job waits, or what becomes of the VM, and the runner, whose name may be cut off.
func (j *demoJob) aside() string {
	switch {
	case j.runner == "" || j.note != "":
		return j.note
	case j.machine == runner.Gone:
		return "destroyed: " + j.runner
	case !j.ended.IsZero() && j.machine != "" && j.machine != runner.Busy:
		return string(j.machine) + ": " + j.runner
	}
	return j.runner
}

// since is the time from a moment to another, or to now where that hasn't come.
func since(from, to, now time.Time) string {
	if to.IsZero() {
		to = now
	}
	return fmt.Sprintf("%.1fs", max(to.Sub(from), 0).Seconds())
}

// fit cuts a line to the width.
func (t demoTable) fit(s string) string {
	s = strings.TrimRight(s, " ")
	if utf8.RuneCountInString(s) <= t.width {
		return s
	}
	return string([]rune(s)[:max(t.width-1, 0)]) + "…"
}

func (t demoTable) bold(s string) string { return t.paint("1", s) }

func (t demoTable) dim(s string) string { return t.paint("2", s) }

// paint sets a rendition (ECMA-48 SGR) for a line.
func (t demoTable) paint(code, s string) string {
	if !t.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
