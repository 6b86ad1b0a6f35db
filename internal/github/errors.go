package github

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Kind says what a failure means for the caller. It is an error itself: errors.Is(err, github.NotFound).
type Kind int //nolint:errname // callers read it as github.NotFound

// The kinds. A GET is never MaybeHappened.
//
//nolint:errname // callers read them as github.NotFound
const (
	// NotFound: the repository, run or runner isn't there, or the token can't see it. Of a runner it means gone:
	// the client made sure that the token sees the repository's runners.
	NotFound Kind = iota + 1
	// Busy: the runner has a job, so GitHub keeps it.
	Busy
	// Exists: the runner name is taken.
	Exists
	// RateLimited: GitHub's limits, or our own reserve or pace, forbid the request before Error.RetryAt. It was not
	// executed.
	RateLimited
	// Unauthorized: GitHub doesn't accept the token.
	Unauthorized
	// Permission: the token is accepted but may not do this.
	Permission
	// Invalid: GitHub refuses the request as it is; a repeat would be refused, too.
	Invalid
	// Unavailable: not executed, or only a read: worth a retry.
	Unavailable
	// MaybeHappened: a POST or DELETE whose effect is unknown. Look before doing it again.
	MaybeHappened
)

// Error names the kind in plain words.
func (k Kind) Error() string {
	switch k {
	case NotFound:
		return "not found"
	case Busy:
		return "busy"
	case Exists:
		return "already exists"
	case RateLimited:
		return "rate limited"
	case Unauthorized:
		return "unauthorized"
	case Permission:
		return "permission denied"
	case Invalid:
		return "invalid request"
	case Unavailable:
		return "unavailable"
	case MaybeHappened:
		return "may have happened"
	}
	return fmt.Sprintf("kind %d", int(k))
}

// Error is what every call of a [Client] fails with. It never holds a credential.
type Error struct {
	Kind Kind
	// Op is what was wanted: "list jobs of NREL/EnergyPlus".
	Op string
	// Status is GitHub's HTTP status, 0 when there was no reply.
	Status int
	// Message is GitHub's words or, without a reply, ours.
	Message string
	// RetryAt is the earliest time for another try, by this machine's clock. Always set for RateLimited, zero
	// where nobody named a time.
	RetryAt time.Time
	// AcceptedPermissions is GitHub's X-Accepted-GitHub-Permissions: what the token would need.
	AcceptedPermissions string
	// Cause is the error below, where there is one.
	Cause error
	// Hint says what to do next.
	Hint string
}

// Error is one line: what was wanted, what GitHub said, what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	b.WriteString(": ")
	if e.Status != 0 {
		fmt.Fprintf(&b, "GitHub answers %d", e.Status)
		if text := http.StatusText(e.Status); text != "" && !strings.EqualFold(text, e.Message) {
			b.WriteString(" " + text)
		}
		if e.Message != "" {
			b.WriteString(": ")
		}
	}
	b.WriteString(e.Message)
	if e.Message == "" && e.Status == 0 {
		b.WriteString(e.Kind.Error())
	}
	if e.AcceptedPermissions != "" {
		fmt.Fprintf(&b, " (needs %s)", e.AcceptedPermissions)
	}
	if !e.RetryAt.IsZero() {
		b.WriteString("; next try at " + e.RetryAt.UTC().Format(time.RFC3339))
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return oneLine(b.String())
}

// Unwrap gives the error below.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is the error's kind.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}
