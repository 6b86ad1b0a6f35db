package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// writeNote is the line of a description that is for Mayfly: a prefix and JSON.
func writeNote(prefix string, value any) string {
	line, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("marshal %s %v", prefix, err)) // strings, numbers and times always marshal
	}
	return prefix + string(line) + "\n"
}

// readNote reads the one line that begins with prefix out of a description. Two of them, or more behind the JSON, are
// errors; found is false without one.
func readNote(description, prefix string, value any) (found bool, err error) {
	var lines []string
	for line := range strings.Lines(description) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok {
			lines = append(lines, rest)
		}
	}
	switch {
	case len(lines) == 0:
		return false, nil
	case len(lines) > 1:
		return true, fmt.Errorf("%d of them in one description", len(lines))
	}
	dec := json.NewDecoder(strings.NewReader(lines[0]))
	if err := dec.Decode(value); err != nil {
		return true, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return true, errors.New("something stands behind its last brace")
	}
	return true, nil
}

// plausible reports whether a time can be that of a VM's making. What it lets through can be written as JSON, too,
// which has no years beyond 9999.
func plausible(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 2000 && year < 9000
}
