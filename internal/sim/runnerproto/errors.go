package runnerproto

import "fmt"

// KindError says what a refusal means to a runner. It is an error, so that errors.Is(err, ErrGone) works.
type KindError int

// The kinds.
const (
	// ErrGone: the registration is unknown or was removed; the runner ends.
	ErrGone KindError = iota + 1
	// ErrConflict: another session of the registration lives.
	ErrConflict
	// ErrDeprecated: the runner's version is refused.
	ErrDeprecated
	// ErrLost: the job is no longer this runner's.
	ErrLost
	// ErrUnauthorized: the token is wrong.
	ErrUnauthorized
	// ErrExists: a registration of that name exists.
	ErrExists
	// ErrInvalid: the request was refused as wrong.
	ErrInvalid
	// ErrUnavailable: no answer, or a server's error.
	ErrUnavailable
)

// Error implements error.
func (k KindError) Error() string {
	switch k {
	case ErrGone:
		return "registration gone"
	case ErrConflict:
		return "session conflict"
	case ErrDeprecated:
		return "runner version deprecated"
	case ErrLost:
		return "assignment lost"
	case ErrUnauthorized:
		return "unauthorized"
	case ErrExists:
		return "runner name taken"
	case ErrInvalid:
		return "refused"
	case ErrUnavailable:
		return "unavailable"
	}
	return "unknown kind"
}

// Error is a call that did not succeed.
type Error struct {
	Kind   KindError
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
	k, ok := target.(KindError)
	return ok && k == e.Kind
}
