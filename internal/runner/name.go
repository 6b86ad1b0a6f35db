package runner

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
)

const (
	// idBytes of randomness follow the prefix: names are never reused, and 40 bits make a collision among a
	// million runners of one target a matter of luck below one in two.
	idBytes = 5
	// MaxPrefix keeps prefix, dash and id within 63 characters: a Proxmox VM name is a DNS label
	// (63; format dns-name), a GitHub runner name has at most 64.
	MaxPrefix = 63 - 1 - 2*idBytes
)

var (
	prefixForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`)
	nameForm   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?-[0-9a-f]{10}$`)
)

// CheckPrefix returns an error that tells the accepted form when no runner name can begin with prefix.
func CheckPrefix(prefix string) error {
	if len(prefix) > MaxPrefix || !prefixForm.MatchString(prefix) {
		return fmt.Errorf("runner name prefix %q: want 1 to %d letters, digits and inner dashes", prefix, MaxPrefix)
	}
	return nil
}

// NewName makes a runner name: the prefix and a random id, never made twice.
func NewName(prefix string) string {
	id := make([]byte, idBytes)
	_, _ = rand.Read(id) // crypto/rand.Read never fails (Go 1.24)
	return prefix + "-" + hex.EncodeToString(id)
}

// IsName reports whether s has the form that [NewName] gives.
func IsName(s string) bool { return len(s) <= 63 && nameForm.MatchString(s) }
