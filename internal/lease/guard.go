package lease

import (
	"errors"
	"net/http"
)

// ErrNotHeld matches every *[NotHeldError].
var ErrNotHeld = errors.New("the lease is not held")

// NotHeldError is what a guard answers instead of sending a request that would change something.
type NotHeldError struct {
	// Why this process may not.
	Why string
}

// Error says why, and what becomes of it.
func (e *NotHeldError) Error() string { return "not sent: the lease is not this process's: " + e.Why }

// Is matches [ErrNotHeld].
func (e *NotHeldError) Is(target error) bool { return target == ErrNotHeld }

// Unsent says that the server has seen nothing of the request.
func (e *NotHeldError) Unsent() bool { return true }

// Guard stands before a transport and lets nothing through that may change something unless the lease is held, at the
// very moment of the request. Reads always pass.
func (t *Term) Guard(next http.RoundTripper) http.RoundTripper { return guard{t, next} }

type guard struct {
	term *Term
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		if err := g.term.Valid(); err != nil {
			if req.Body != nil {
				_ = req.Body.Close() // a transport closes it, also in the end that it sends nothing
			}
			return nil, err
		}
	}
	return g.next.RoundTrip(req)
}
