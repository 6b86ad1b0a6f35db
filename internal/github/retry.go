package github

import (
	"errors"
	"hash/fnv"
	"net/http"
	"strconv"
	"time"
)

const (
	// retries is how often a GET is repeated.
	retries = 2
	// firstBackoff grows fourfold; half of each is by chance, so that several dispatchers don't come back together.
	firstBackoff = 250 * time.Millisecond
	// backoffSteps keep every wait a multiple of 0.1 ms.
	backoffSteps = 1250
)

// retry repeats GETs after 5xx and broken connections, inside the call's deadline. Nothing else is ever repeated.
type retry struct {
	next  http.RoundTripper
	salt  string
	first time.Duration
}

func (r *retry) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		return r.next.RoundTrip(req)
	}
	for attempt := 0; ; attempt++ {
		res, err := r.next.RoundTrip(req)
		if attempt == retries || !passing(res, err) || !sleep(req, r.backoff(req, attempt)) {
			return res, err
		}
	}
}

// passing reports whether a repeat may go better: no reply, or a 5xx that names no time of its own.
func passing(res *http.Response, err error) bool {
	if err != nil {
		var l *lostError
		var a redirectError
		return errors.As(err, &l) && !errors.As(err, &a)
	}
	return res.StatusCode >= http.StatusInternalServerError && res.Header.Get("Retry-After") == ""
}

// backoff takes its chance from a hash, not from a random source: simulations in virtual time must repeat exactly.
func (r *retry) backoff(req *http.Request, attempt int) time.Duration {
	full := r.first << (2 * attempt)
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.salt + req.URL.String() + strconv.Itoa(attempt)))
	return full/2 + full/2*time.Duration(h.Sum64()%backoffSteps)/backoffSteps
}

// sleep waits, or reports false at once when the call's deadline would be over by then.
func sleep(req *http.Request, d time.Duration) bool {
	ctx := req.Context()
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
