package github

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what a Retry-After may ask for: GitHub's longest window is an hour, and a nonsense value from
// something in between must not stop Mayfly for good.
const maxRetryAfter = time.Hour

// core is the resource that most requests count for (X-RateLimit-Resource; GitHub docs, "Rate limits for the REST
// API").
const core = "core"

// allowance is what GitHub says of one resource's hourly budget.
type allowance struct {
	limit     int
	remaining int
	reset     time.Time // by our clock
}

// parseAllowance reads the x-ratelimit-* headers; ok is false when the reply has none that make sense (GitHub
// Enterprise Server sends none where limits are off). ahead is how far the server's clock is ahead of ours.
func parseAllowance(h http.Header, ahead time.Duration) (resource string, a allowance, ok bool) {
	limit, err1 := strconv.Atoi(h.Get("X-Ratelimit-Limit"))
	remaining, err2 := strconv.Atoi(h.Get("X-Ratelimit-Remaining"))
	reset, err3 := strconv.ParseInt(h.Get("X-Ratelimit-Reset"), 10, 64)
	if err1 != nil || err2 != nil || err3 != nil || limit <= 0 || remaining < 0 || reset <= 0 || reset > 1<<40 {
		return "", allowance{}, false
	}
	resource = strings.ToLower(h.Get("X-Ratelimit-Resource"))
	if resource == "" {
		resource = core
	}
	return resource, allowance{limit: limit, remaining: min(remaining, limit), reset: ourClock(time.Unix(reset, 0), ahead)}, true
}

// parseRetryAfter reads Retry-After as the time to wait: seconds or an HTTP date (RFC 9110, 10.2.3). ok is false when
// there is none that makes sense.
func parseRetryAfter(h http.Header, now time.Time, ahead time.Duration) (wait time.Duration, ok bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	if strings.Trim(v, "0123456789") == "" {
		seconds, err := strconv.ParseInt(v, 10, 64)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	return min(max(ourClock(at, ahead).Sub(now), 0), maxRetryAfter), true
}

// ourClock turns a time of the server's clock into one of ours. Differences that the Date header's whole seconds and
// the request's travel could make are none.
func ourClock(t time.Time, ahead time.Duration) time.Time {
	if ahead.Abs() < 2*time.Second {
		return t
	}
	return t.Add(-ahead)
}
