package lease

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// record is what the mapping's description says, in one line:
//
//	mayfly-lease installation=ep holder=3f09aa51c2de name=ci1 term=4 beat=17 ttl=30s state=held
//
// No two have the same text: terms only grow, and beats within a term. What is no record (a mapping that was just made, or that
// somebody has edited) is overwritten with a new one before anybody waits for it. So a text that was seen once never comes
// back after another one, and neither does its digest.
type record struct {
	installation string
	holder       string // the process
	name         string // its machine, for people
	term         uint64
	beat         uint64
	ttl          time.Duration // the holder's
	state        string
}

// recordPrefix begins every record.
const recordPrefix = "mayfly-lease "

const (
	// stateHeld: the process holds the lease.
	stateHeld = "held"
	// stateReleased: it has given it back, so that anybody may take it at once.
	stateReleased = "released"
	// stateNew: it has found no record and laid this one. Somebody may have held the lease before, so that it is waited for
	// as if he did still.
	stateNew = "new"
)

func (r record) String() string {
	return fmt.Sprintf("%sinstallation=%s holder=%s name=%s term=%d beat=%d ttl=%s state=%s",
		recordPrefix, r.installation, r.holder, r.name, r.term, r.beat, r.ttl, r.state)
}

// errNoRecord says that nobody has ever held the lease, or that somebody has edited the text.
var errNoRecord = errors.New("it is no lease of Mayfly's")

// parseRecord reads a description. Fields that it doesn't know are a later Mayfly's.
func parseRecord(text string) (record, error) {
	rest, ok := strings.CutPrefix(text, recordPrefix)
	if !ok {
		return record{}, errNoRecord
	}
	fields := map[string]string{}
	for word := range strings.FieldsSeq(rest) {
		k, v, _ := strings.Cut(word, "=")
		fields[k] = v
	}
	r := record{installation: fields["installation"], holder: fields["holder"], name: fields["name"], state: fields["state"]}
	var errs [3]error
	r.term, errs[0] = strconv.ParseUint(fields["term"], 10, 64)
	r.beat, errs[1] = strconv.ParseUint(fields["beat"], 10, 64)
	r.ttl, errs[2] = time.ParseDuration(fields["ttl"])
	known := r.state == stateHeld || r.state == stateReleased || r.state == stateNew
	if err := errors.Join(errs[:]...); err != nil || r.installation == "" || r.holder == "" || r.ttl <= 0 || r.ttl > MaxTTL || !known {
		return record{}, errNoRecord
	}
	return r, nil
}

// nameOf makes a machine's name one word of ASCII.
func nameOf(s string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.', r == '_':
			return r
		}
		return -1
	}, s)
	if clean == "" {
		return "unknown"
	}
	return clean[:min(len(clean), maxName)]
}

// maxName bounds the machine's name; host names have 63 characters at most.
const maxName = 63
