package gh

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// defaultRegistrationLimit in registrationWindow is what a repository, organization or enterprise may make (GitHub
	// docs, "Actions limits").
	defaultRegistrationLimit = 1500
	registrationWindow       = 5 * time.Minute
)

// pace notes when a scope made its latest registrations, the oldest first.
type pace map[string][]time.Time

// wait is how long the scope has to wait before it may register one more runner; 0 is not at all.
func (p pace) wait(owner, repo string, limit int, now time.Time) time.Duration {
	key := strings.ToLower(owner + "/" + repo)
	recent := p[key]
	for len(recent) > 0 && now.Sub(recent[0]) >= registrationWindow {
		recent = recent[1:]
	}
	p[key] = recent
	if len(recent) < limit {
		return 0
	}
	return recent[0].Add(registrationWindow).Sub(now)
}

func (p pace) count(owner, repo string, now time.Time) {
	key := strings.ToLower(owner + "/" + repo)
	p[key] = append(p[key], now)
}

// hasty refuses a registration beyond the limit. GitHub doesn't say how it refuses those; this is how it refuses requests
// beyond any limit other than the hourly one.
func (s *Server) hasty(owner, repo string, now time.Time) (reply, bool) {
	wait := s.world.pace.wait(owner, repo, s.opts.RegistrationLimit, now)
	if wait == 0 {
		return reply{}, false
	}
	rep := problem(http.StatusForbidden,
		fmt.Sprintf("You have exceeded a secondary rate limit: at most %d runners can be registered in 5 minutes.", s.opts.RegistrationLimit),
		"overview/rate-limits-for-the-rest-api#about-secondary-rate-limits")
	rep.header.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	return rep, true
}
