package github

import (
	"net/http"
	"testing"
	"time"
)

func TestExpirationOfTheTokenIsRead(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2026-12-31 23:59:59 UTC":   time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC),
		"2026-12-31 23:59:59 +0100": time.Date(2026, 12, 31, 22, 59, 59, 0, time.UTC),
		"":                          {},
		"never":                     {},
	} {
		h := http.Header{}
		h.Set("GitHub-Authentication-Token-Expiration", text)
		if at, ok := parseExpiration(h); !at.Equal(want) || ok == want.IsZero() {
			t.Errorf("%q is read as %v, %v; want %v", text, at, ok, want)
		}
	}
}
