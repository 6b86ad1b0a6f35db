package main

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"
)

// maxChunk bounds one message of log, in bytes.
const maxChunk = 256 << 10

// jobLog collects what a job prints and sends it on. It is an [io.Writer] that several processes may write to.
type jobLog struct {
	l   *listener
	job int64

	mu      sync.Mutex
	partial []byte // of a line
	pending strings.Builder
}

func newJobLog(l *listener, job int64) *jobLog { return &jobLog{l: l, job: job} }

// Write implements [io.Writer]; it never fails.
func (g *jobLog) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.partial = append(g.partial, p...)
	for {
		line, rest, whole := bytes.Cut(g.partial, []byte("\n"))
		if !whole && len(g.partial) < maxChunk {
			return len(p), nil
		}
		if !whole { // a line without an end
			line, rest = g.partial, nil
		}
		g.add(string(line))
		g.partial = bytes.Clone(rest)
	}
}

// line adds a line of our own, after what a process may have left of one.
func (g *jobLog) line(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.partial) > 0 {
		g.add(string(g.partial))
		g.partial = nil
	}
	g.add(text)
}

// add completes a line: the time before it, and no secret in it.
func (g *jobLog) add(text string) {
	text = strings.ReplaceAll(strings.TrimSuffix(text, "\r"), g.l.cfg.Token, "***")
	g.pending.WriteString(time.Now().UTC().Format("2006-01-02T15:04:05.0000000Z ") + text + "\n")
}

// ship sends the log every now and then until ctx ends.
func (g *jobLog) ship(ctx context.Context) {
	for sleep(ctx, g.l.times.flush) {
		g.flush(ctx, false)
	}
}

// flush sends what there is; last says that no more comes. A log that can't be sent is lost, the job is not.
func (g *jobLog) flush(ctx context.Context, last bool) {
	g.mu.Lock()
	if last && len(g.partial) > 0 {
		g.add(string(g.partial))
		g.partial = nil
	}
	text := g.pending.String()
	g.pending.Reset()
	g.mu.Unlock()
	for len(text) > 0 {
		chunk := text[:min(len(text), maxChunk)]
		text = text[len(chunk):]
		err := g.l.retry(ctx, func(ctx context.Context) error { return g.l.client.Log(ctx, g.job, chunk) })
		if err != nil && ctx.Err() != nil && !last {
			g.mu.Lock() // the last flush tries again
			rest := g.pending.String()
			g.pending.Reset()
			g.pending.WriteString(chunk + text + rest)
			g.mu.Unlock()
			return
		}
	}
}
