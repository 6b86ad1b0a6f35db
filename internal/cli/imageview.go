package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"mayfly/internal/image"
	"mayfly/internal/runner"
)

// buildView shows a build: on a terminal a line for each node that is written anew while it goes on, and one that stays
// for each stage that is over; elsewhere a line for each stage,
// with the time since the build began; with --log-format json log lines.
type buildView struct {
	liveView
	log func(image.Event)

	order []string
	now   map[string]image.Event // by node
	drawn int                    // lines of the live block
	said  map[string]time.Time   // when a node's text was last written, elsewhere
	began time.Time              // of the image's build
}

// newBuildView shows builds on w, with indent before each line.
func (a *app) newBuildView(ctx context.Context, w io.Writer, indent string) *buildView {
	v := &buildView{now: map[string]image.Event{}, said: map[string]time.Time{}}
	if a.flags.logFormat == "json" {
		v.log = logBuild(a.logger)
		w = io.Discard
	}
	v.open(ctx, a, w, indent, v.draw)
	return v
}

// logBuild writes stages as log lines.
func logBuild(log *slog.Logger) func(image.Event) {
	return func(e image.Event) {
		if !e.New {
			return
		}
		level, keys := slog.LevelInfo, []any{"image", e.Image, "version", e.Version, "node", e.Node, "step", string(e.Stage)}
		if e.Stage == image.StageFailed {
			level = slog.LevelError
		}
		if e.Stage == image.StageFailed && e.Text != "" {
			keys = append(keys, "reason", e.Text)
		}
		log.Log(context.Background(), level, "image build", keys...)
	}
}

// event takes one.
func (v *buildView) event(e image.Event) {
	if v.log != nil {
		v.log(e)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.began.IsZero() {
		v.began = e.Began
	}
	before, known := v.now[e.Node]
	if !known {
		v.order = append(v.order, e.Node)
	}
	if v.width() == 0 {
		e.Began = v.began // a line that is written as a stage begins can't tell how long it takes
		if e.New || time.Since(v.said[e.Node]) >= sayEvery {
			v.said[e.Node] = time.Now()
			fmt.Fprintln(v.w, strings.TrimRight(short(v.indent, buildLine(e, false, time.Now())), " "))
		}
		v.now[e.Node] = e
		return
	}
	v.erase()
	if known && e.New && before.Stage != e.Stage {
		v.over(before)
	}
	if all, ok := v.now[""]; ok && e.New && e.Node != "" {
		// What is done once for all nodes is over when a node goes on.
		v.over(all)
		delete(v.now, "")
		v.order = slices.DeleteFunc(v.order, func(node string) bool { return node == "" })
	}
	v.now[e.Node] = e
	v.draw(time.Now())
}

// over writes the line of a stage that is over, which stays.
func (v *buildView) over(e image.Event) {
	fmt.Fprintln(v.w, clip(v.indent+buildLine(e, true, time.Now()), v.width()))
}

// end leaves what was shown as it is; the next image begins below.
func (v *buildView) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.width() > 0 && len(v.order) > 0 {
		v.draw(time.Now())
	}
	v.drawn, v.order, v.now, v.began = 0, nil, map[string]image.Event{}, time.Time{}
}

// close ends what the view has started.
func (v *buildView) close() { v.shut() }

func (v *buildView) erase() {
	if v.drawn > 0 {
		fmt.Fprintf(v.w, "\x1b[%dA\x1b[J", v.drawn)
		v.drawn = 0
	}
}

func (v *buildView) draw(now time.Time) {
	v.erase()
	for _, node := range v.order {
		fmt.Fprintln(v.w, clip(v.indent+buildLine(v.now[node], false, now), v.width()))
		v.drawn++
	}
}

// buildLine is one event for people: where, which stage, how long, how much, what. Of a stage that is over it leaves out
// what only moved.
func buildLine(e image.Event, over bool, now time.Time) string {
	where := e.Node
	if where == "" {
		where = e.Image
	}
	line := fmt.Sprintf("%-12s  %-9s  %6s", where, e.Stage, now.Sub(e.Began).Round(time.Second))
	switch {
	case e.Total > 0 && !over && e.Done < e.Total:
		line += fmt.Sprintf("  %s of %s (%d%%)", runner.Bytes(e.Done), runner.Bytes(e.Total), e.Done*100/e.Total)
	case e.Done > 0:
		line += "  " + runner.Bytes(e.Done).String()
	case e.Text != "" && !over:
		line += "  " + e.Text
	}
	return line
}
