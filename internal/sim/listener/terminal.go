package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// terminal is where a person, or run-once.sh, reads what happens. It is safe for use by several goroutines.
type terminal struct {
	mu       sync.Mutex
	out, err io.Writer
}

// say prints a line.
func (t *terminal) say(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.out, text)
}

// event prints a line with the time before it, as the real runner prints what it does: "2026-11-24 10:00:00Z: …".
func (t *terminal) event(text string) { t.say(stamp() + text) }

// fail prints a line of error.
func (t *terminal) fail(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.err, text)
}

func stamp() string { return time.Now().UTC().Format("2006-01-02 15:04:05Z") + ": " }

func joined(words []string) string { return strings.Join(words, ", ") }
