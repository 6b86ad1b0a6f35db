package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"
	"time"
)

// trace is what happened, one line for each effect on the world and each decision of the dispatcher. Errors are in it by
// their kind: the texts of time-outs are random.
type trace struct {
	mu    sync.Mutex
	keep  bool
	born  time.Time
	sum   hash.Hash
	count int
	lines []string
}

func newTrace(keep bool) *trace { return &trace{keep: keep, born: time.Now(), sum: sha256.New()} }

func (t *trace) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := fmt.Sprintf("%12.6f ", time.Since(t.born).Seconds()) + fmt.Sprintf(format, args...)
	fmt.Fprintln(t.sum, line)
	t.count++
	if t.keep {
		t.lines = append(t.lines, line)
	}
}

// digest is the same for the same lines.
func (t *trace) digest() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return hex.EncodeToString(t.sum.Sum(nil))[:16]
}
