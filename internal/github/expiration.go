package github

import (
	"net/http"
	"strings"
	"time"
)

// TokenExpires is when the token ends, as GitHub's last reply told; ok is false for a token that never does, and while GitHub
// hasn't answered.
func (c *Client) TokenExpires() (at time.Time, ok bool) {
	if at := c.wire.expires.Load(); at != nil {
		return *at, true
	}
	return time.Time{}, false
}

// expirationForms are how the header is written: GitHub sends "2026-12-31 23:59:59 UTC" and, for tokens made in another time
// zone, "2026-12-31 23:59:59 +0100".
var expirationForms = []string{"2006-01-02 15:04:05 MST", "2006-01-02 15:04:05 -0700"}

// parseExpiration reads GitHub-Authentication-Token-Expiration (docs, "Token expiration and revocation").
func parseExpiration(h http.Header) (time.Time, bool) {
	text := strings.TrimSpace(h.Get("Github-Authentication-Token-Expiration"))
	for _, form := range expirationForms {
		if at, err := time.Parse(form, text); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}
