package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"mayfly/internal/bootstrap"
	"mayfly/internal/runner"
)

// stepView shows steps that come one after the other: on a terminal the present one on a line that is written anew, with
// a bar where bytes move; elsewhere a line for each; with --log-format json log lines.
type stepView struct {
	liveView
	log *slog.Logger

	now   bootstrap.Event
	began time.Time // of the present step
	said  time.Time // when it was last written
}

// redrawEvery bounds how often a bar moves.
const redrawEvery = 100 * time.Millisecond

// newStepView shows steps on w, with indent before each line.
func (a *app) newStepView(ctx context.Context, w io.Writer, indent string) *stepView {
	v := &stepView{}
	if a.flags.logFormat == "json" {
		v.log = a.logger
		w = io.Discard
	}
	v.open(ctx, a, w, indent, v.draw)
	return v
}

// event takes one.
func (v *stepView) event(e bootstrap.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	switch {
	case v.log != nil:
		if e.New {
			v.log.Info("bootstrap", "step", e.Step)
		} else if e.Text != "" {
			v.log.Info("bootstrap", "step", e.Step, "reason", e.Text)
		}
		return
	case v.width() > 0:
		if e.New {
			v.over("✓", now)
			v.began = now
		}
		v.now = e
		if e.New || now.Sub(v.said) >= redrawEvery {
			v.said = now
			v.draw(now)
		}
		return
	case e.New:
		v.began, v.said = now, now
		fmt.Fprintln(v.w, short(v.indent, e.Step))
	case e.Text != "" || now.Sub(v.said) >= sayEvery:
		v.said = now
		fmt.Fprintln(v.w, strings.TrimRight(short(v.indent, e.Step+"  "+progress(e, 0)), " "))
	}
	v.now = e
}

// over leaves the line of a step that is over.
func (v *stepView) over(mark string, now time.Time) {
	if v.now.Step != "" {
		fmt.Fprintf(v.w, "\r\x1b[K%s\n", clip(fmt.Sprintf("%s%s %s  %s", v.indent, mark, v.now.Step, now.Sub(v.began).Round(100*time.Millisecond)), v.width()))
	}
	v.now = bootstrap.Event{}
}

func (v *stepView) draw(now time.Time) {
	if v.now.Step == "" {
		return
	}
	// A long step, such as a URL, is cut short for what moves.
	moves := fmt.Sprintf("  %s  %s", now.Sub(v.began).Round(time.Second), progress(v.now, 24))
	step := clip(v.indent+"  "+v.now.Step, max(v.width()-utf8.RuneCountInString(moves), shortestStep))
	fmt.Fprintf(v.w, "\r\x1b[K%s", clip(strings.TrimRight(step+moves, " "), v.width()))
}

// shortestStep is how much of a step is shown at least.
const shortestStep = 20

// progress tells how far a step is, with a bar of so many characters.
func progress(e bootstrap.Event, bar int) string {
	switch {
	case e.Total > 0:
		full := int(int64(bar) * min(e.Done, e.Total) / e.Total)
		drawn := ""
		if bar > 0 {
			drawn = strings.Repeat("█", full) + strings.Repeat("░", bar-full) + " "
		}
		return fmt.Sprintf("%s%s of %s (%d%%)", drawn, runner.Bytes(e.Done), runner.Bytes(e.Total), min(e.Done, e.Total)*100/e.Total)
	case e.Done > 0:
		return runner.Bytes(e.Done).String()
	}
	return e.Text
}

// close ends what the view has started, after an error or without one.
func (v *stepView) close(err error) {
	v.shut()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.width() > 0 {
		mark := "✓"
		if err != nil {
			mark = "✗"
		}
		v.over(mark, time.Now())
	}
}
