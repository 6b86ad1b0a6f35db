package gh

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// window is the period of the primary rate limit.
const window = time.Hour

// token is a credential, its rights and what it has used of its limit.
type token struct {
	login       string
	id          int64
	permissions map[string]string // nil: all
	repos       []string          // nil: all
	limit       int
	used        int
	resets      time.Time
	expires     time.Time // zero: never
}

func newToken(t TokenSpec, id int64, limit int) *token {
	login := t.Login
	if login == "" {
		login = "user-" + strconv.FormatInt(id, 10)
	}
	return &token{login: login, id: id, permissions: t.Permissions, repos: t.Repositories, limit: limit, expires: t.Expires}
}

// sees reports whether the token can see the repository.
func (t *token) sees(r *repository) bool {
	return t.repos == nil || slices.ContainsFunc(t.repos, func(x string) bool { return strings.EqualFold(x, r.String()) })
}

// seesOrg reports whether the token can see an organization: one of its repositories.
func (t *token) seesOrg(org string) bool {
	return t.repos == nil || slices.ContainsFunc(t.repos, func(x string) bool {
		owner, _, _ := strings.Cut(x, "/")
		return strings.EqualFold(owner, org)
	})
}

// may reports whether the token has the permission ("administration=write"). Write includes read, and every token
// may read metadata.
func (t *token) may(need string) bool {
	name, level, _ := strings.Cut(need, "=")
	if t.permissions == nil || need == "" || need == metadataRead {
		return true
	}
	has := t.permissions[name]
	return has == "write" || has == "admin" || has == level
}

// roll begins a new window when the old one is over.
func (t *token) roll(now time.Time) {
	if t.resets.IsZero() || !now.Before(t.resets) {
		t.used, t.resets = 0, now.Add(window).Truncate(time.Second)
	}
}

func (t *token) remaining() int { return max(0, t.limit-t.used) }

// rateHeaders puts the state of the limit on a reply.
func (t *token) rateHeaders(h http.Header, ahead time.Duration) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(t.limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(t.remaining()))
	h.Set("X-RateLimit-Used", strconv.Itoa(t.used))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(t.resets.Add(ahead).Unix(), 10))
	h.Set("X-RateLimit-Resource", "core")
	if !t.expires.IsZero() {
		h.Set("GitHub-Authentication-Token-Expiration", t.expires.UTC().Format("2006-01-02 15:04:05 MST"))
	}
}

// SetRateLimit changes what a token ("" is the first) has left of this hour's requests; the limit itself stays. It
// reports whether there is such a token.
func (s *Server) SetRateLimit(secret string, remaining int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret == "" {
		secret = s.opts.Token
	}
	t := s.world.tokens[secret]
	if t == nil {
		return false
	}
	t.roll(time.Now())
	t.used = max(0, t.limit-remaining)
	return true
}

// RevokeToken makes a token ("" is the first) unknown, as when its owner deletes it.
func (s *Server) RevokeToken(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if secret == "" {
		secret = s.opts.Token
	}
	delete(s.world.tokens, secret)
}
