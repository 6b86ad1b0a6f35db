package runner

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// Redacted is what every Secret prints as.
const Redacted = "***"

// Secret holds a credential. However it is printed, logged or marshalled it shows as "***"; only [Secret.Reveal]
// gives the value. The zero value is "no secret".
type Secret struct{ value string }

// NewSecret wraps a credential.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the credential itself. Call it only where the value leaves for the server or guest that needs it.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether there is no credential.
func (s Secret) IsZero() bool { return s.value == "" }

// String returns "***", or "" when there is no credential.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return Redacted
}

// Format prints "***" for every verb, so that %+v, %#v, %x and %q can't show the value either.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON writes "***".
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// MarshalText writes "***"; YAML and flag packages use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
