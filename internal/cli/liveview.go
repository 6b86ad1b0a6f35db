package cli

import (
	"context"
	"io"
	"sync"
	"time"

	"golang.org/x/term"
)

// liveView is where something shows how far it is: a terminal, on which lines are written anew while it goes on, or
// anything else, which takes a line for each thing that happened.
type liveView struct {
	w      io.Writer
	indent string     // before each line
	width  func() int // 0 when w is no terminal
	cancel context.CancelFunc
	ticker sync.WaitGroup
	mu     sync.Mutex // what is shown
}

// liveEvery is how often elapsed times move on; sayEvery is how often elsewhere a stage's progress is told.
const (
	liveEvery = 500 * time.Millisecond
	sayEvery  = 15 * time.Second
)

// open takes w. On a terminal it calls draw, under the lock, every [liveEvery] until close, also after ctx: it shows the clean-up, too.
func (v *liveView) open(ctx context.Context, a *app, w io.Writer, indent string, draw func(now time.Time)) {
	v.w, v.indent, v.width, v.cancel = w, indent, func() int { return 0 }, func() {}
	f := terminal(w, a.env)
	if f == nil {
		return
	}
	v.width = func() int {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 20 {
			return w
		}
		return 80
	}
	ctx, v.cancel = context.WithCancel(context.WithoutCancel(ctx))
	v.ticker.Go(func() {
		tick := time.NewTicker(liveEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				v.mu.Lock()
				draw(time.Now())
				v.mu.Unlock()
			}
		}
	})
}

// shut ends what open has started.
func (v *liveView) shut() {
	v.cancel()
	v.ticker.Wait()
}

// short is a line after an indent, cut to what an ordinary terminal holds where there is one: then it is a part of something else.
func short(indent, line string) string {
	if indent == "" {
		return line
	}
	return clip(indent+line, 81)
}

func clip(line string, width int) string {
	runes := []rune(line)
	if len(runes) < width {
		return line
	}
	return string(runes[:width-2]) + "…"
}
