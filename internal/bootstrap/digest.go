package bootstrap

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"mayfly/internal/runner"
)

// contentsDigest is a hash of all that a container is made of, with a salt before it: "SALT:HASH" in hexadecimal. Secrets
// are part of it, so that a token that was rotated counts as a change. They can't be found from it: Proxmox's and
// GitHub's tokens have more than 120 random bits each, and no other digest has this one's salt.
func contentsDigest(salt, template string, s Spec) (string, error) {
	h := sha256.New()
	_, _ = io.WriteString(h, salt)
	add := func(part string) {
		_, _ = fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	add(template)
	program, err := os.Open(s.Program)
	if err != nil {
		return "", fmt.Errorf("read program for the container: %w; name the release's mayfly for linux/amd64 with --program", err)
	}
	defer func() { _ = program.Close() }()
	if _, err := io.Copy(h, program); err != nil {
		return "", fmt.Errorf("read program for the container: %w", err)
	}
	add(s.Version) // whose units go with it
	add(string(s.Config))
	for _, f := range s.Files {
		add(f.Path)
		add(string(f.Data))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
		add(name)
		add(s.Secrets[name].Reveal())
	}
	c := s.Container
	c.VMID, c.MAC, c.KeyLine = 0, "", runner.Secret{} // each container's own
	text, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("compare container: %w", err)
	}
	add(string(text))
	return salt + ":" + hex.EncodeToString(h.Sum(nil)), nil
}

// newSalt makes a salt.
func newSalt() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// sameContents reports whether a container with the digest was made of the same.
func sameContents(digest, template string, s Spec) (bool, error) {
	salt, _, ok := strings.Cut(digest, ":")
	if !ok {
		return false, nil
	}
	now, err := contentsDigest(salt, template, s)
	return err == nil && now == digest, err
}
