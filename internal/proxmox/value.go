package proxmox

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mayfly/internal/runner"
)

// Proxmox's replies come out of Perl: the same field is a number in one reply and a string in the next, booleans are
// 0, 1, "" or missing, a container's maxcpu may be 1.5. These types read all of it. A value that can't be read counts
// as missing, so that one odd VM doesn't hide all others.

// text is a scalar as text.
type text string

// UnmarshalJSON reads strings, numbers and booleans; null and anything else is "".
func (t *text) UnmarshalJSON(b []byte) error {
	*t = text(scalar(b))
	return nil
}

// integer is a whole number; fractions are cut off.
type integer int64

// UnmarshalJSON reads numbers and numbers in strings; anything else is 0.
func (n *integer) UnmarshalJSON(b []byte) error {
	s := strings.TrimSpace(scalar(b))
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		*n = integer(i)
		return nil
	}
	switch f := number(s); {
	case f >= math.MaxInt64:
		*n = math.MaxInt64
	case f <= math.MinInt64:
		*n = math.MinInt64
	default:
		*n = integer(f)
	}
	return nil
}

func (n integer) bytes() runner.Bytes { return runner.Bytes(n) }

func (n integer) seconds() time.Duration {
	const longest = int64(math.MaxInt64 / time.Second)
	return time.Duration(min(max(int64(n), 0), longest)) * time.Second
}

// moment is the time of a Unix second; the zero time for none.
func (n integer) moment() time.Time {
	if n <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(n), 0).UTC()
}

// decimal is a number with a fraction.
type decimal float64

// UnmarshalJSON reads numbers and numbers in strings; anything else is 0.
func (d *decimal) UnmarshalJSON(b []byte) error {
	*d = decimal(number(strings.TrimSpace(scalar(b))))
	return nil
}

// flag is a boolean.
type flag bool

// UnmarshalJSON reads 1, "1", true and the words that Proxmox's configs admit; anything else is false.
func (f *flag) UnmarshalJSON(b []byte) error {
	*f = flag(isTrue(scalar(b)))
	return nil
}

func isTrue(s string) bool {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "1", "true", "yes", "on": // pve-common JSONSchema.pm, parse_boolean
		return true
	}
	return false
}

// number gives 0 for what isn't a finite number.
func number(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// scalar is a JSON value as text, verbatim for numbers and whole for lists and objects.
func scalar(b []byte) string {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || bytes.Equal(b, []byte("null")) {
		return ""
	}
	if b[0] == '"' {
		if plain := b[1 : len(b)-1]; !bytes.ContainsRune(plain, '\\') && utf8.Valid(plain) {
			return string(plain) // as it stands; a list of a thousand VMs has ten thousand of them
		}
		var s string
		if json.Unmarshal(b, &s) != nil {
			return ""
		}
		return s
	}
	return string(b)
}

// splitList splits a list as Proxmox writes it: "ci;busy", "iso,images", "a b" (pve-common Tools.pm, split_list).
func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool {
		return r == ';' || r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == 0
	})
}

// words is a list that comes as a JSON list or as one string.
type words []string

// UnmarshalJSON reads both forms; anything else is no list.
func (w *words) UnmarshalJSON(b []byte) error {
	var list []text
	if json.Unmarshal(b, &list) == nil {
		*w = make(words, 0, len(list))
		for _, t := range list {
			*w = append(*w, string(t))
		}
		return nil
	}
	*w = splitList(scalar(b))
	return nil
}
