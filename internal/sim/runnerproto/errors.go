package runnerproto

import "fmt"

// Kind says what a refusal means to a runner. It is an error, so that errors.Is(err, Gone) works.
type Kind int

// The kinds.
const (
	// Gone: the registration is unknown or was removed; the runner ends.
	Gone Kind = iota + 1
	// Conflict: another session of the registration lives.
	Conflict
	// Deprecated: the runner's version is refused.
	Deprecated
	// Lost: the job is no longer this runner's.
	Lost
	// Unauthorized: the token is wrong.
	Unauthorized
	// Exists: a registration of that name exists.
	Exists
	// Invalid: the request was refused as wrong.
	Invalid
	// Unavailable: no answer, or a server's error.
	Unavailable
)

// Error implements error.
func (k Kind) Error() string {
	switch k {
	case Gone:
		return "registration gone"
	case Conflict:
		return "session conflict"
	case Deprecated:
		return "runner version deprecated"
	case Lost:
		return "assignment lost"
	case Unauthorized:
		return "unauthorized"
	case Exists:
		return "runner name taken"
	case Invalid:
		return "refused"
	case Unavailable:
		return "unavailable"
	}
	return "unknown kind"
}

// Error is a call that did not succeed.
type Error struct {
	Kind   Kind
	Op     string // what was tried, for example "open session"
	Status int    // HTTP status, 0 when there was no reply
	// Message is the server's word.
	Message string
	Cause   error
}

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.Cause != nil:
		return fmt.Sprintf("%s: %v", e.Op, e.Cause)
	case e.Message != "":
		return fmt.Sprintf("%s: %s (HTTP %d)", e.Op, e.Message, e.Status)
	}
	return fmt.Sprintf("%s: HTTP %d", e.Op, e.Status)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is matches the kind.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}
