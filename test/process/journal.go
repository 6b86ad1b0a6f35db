package process

import (
	"io"
	"strings"
	"sync"
)

// Journal keeps what processes write. Its zero value is ready.
type Journal struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements [io.Writer].
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// Note adds a line of the test's own.
func (j *Journal) Note(line string) { _, _ = io.WriteString(j, "---- "+line+"\n") }

// String is all that was written.
func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// Tail gives the last lines, at most n.
func (j *Journal) Tail(n int) string {
	lines := strings.SplitAfter(strings.TrimSuffix(j.String(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
