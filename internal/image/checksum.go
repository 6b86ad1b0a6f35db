package image

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// Checksum is what a file must have.
type Checksum struct {
	// Algorithm is "sha256" or "sha512", as Proxmox and sha256sum name them.
	Algorithm string
	// Hex is in lower case.
	Hex string
}

// ParseChecksum reads "sha256:HEX" and "sha512:HEX"; without a word in front the length tells which.
func ParseChecksum(s string) (Checksum, error) {
	algorithm, digits, ok := strings.Cut(s, ":")
	if !ok {
		algorithm, digits = "", s
	}
	raw, err := hex.DecodeString(digits)
	length := map[string]int{"sha256": sha256.Size, "sha512": sha512.Size}
	if algorithm == "" && len(raw) == sha512.Size {
		algorithm = "sha512"
	} else if algorithm == "" {
		algorithm = "sha256"
	}
	if err != nil || len(raw) == 0 || length[algorithm] != len(raw) {
		return Checksum{}, fmt.Errorf("checksum %q: want sha256: and 64 hex digits, or sha512: and 128", s)
	}
	return Checksum{algorithm, strings.ToLower(digits)}, nil
}

// String is the form that ParseChecksum reads.
func (c Checksum) String() string { return c.Algorithm + ":" + c.Hex }

// short tells files apart: enough digits that two never meet by chance.
func (c Checksum) short() string { return c.Hex[:min(len(c.Hex), 16)] }

func (c Checksum) hash() hash.Hash {
	if c.Algorithm == "sha512" {
		return sha512.New()
	}
	return sha256.New()
}
