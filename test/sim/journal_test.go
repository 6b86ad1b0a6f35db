package sim

import (
	"bytes"
	"sync"
)

// journal keeps the end of the dispatcher's log, and looks through all of it for secrets.
type journal struct {
	mu      sync.Mutex
	secrets []string
	leaked  string // the first line that holds a secret
	buf     bytes.Buffer
}

// journalSize is how much of the log is kept, in bytes.
const journalSize = 256 << 10

// Write implements io.Writer: one line of the log.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.secrets {
		if j.leaked == "" && bytes.Contains(p, []byte(s)) {
			j.leaked = string(p)
		}
	}
	if j.buf.Len() > journalSize {
		rest := bytes.Clone(j.buf.Bytes()[journalSize/2:])
		j.buf.Reset()
		j.buf.Write(rest)
	}
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}
