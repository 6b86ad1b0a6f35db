package secrets

import (
	"strings"
	"sync"
)

// counter counts from 1.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) next() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}

// set keeps something by a key until it is taken.
type set struct {
	mu sync.Mutex
	m  map[string]string
}

func (s *set) put(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[string]string{}
	}
	s.m[key] = value
}

func (s *set) take(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.m[key]
	delete(s.m, key)
	return v
}

// machine is the part of an address that names the VM.
func machine(uri string) string {
	before, _, _ := strings.Cut(uri, "/agent/")
	return before
}

// minted is the identity in a reply of GitHub's.
func minted(reply string) string {
	_, rest, _ := strings.Cut(reply, `"encoded_jit_config":"`)
	encoded, _, _ := strings.Cut(rest, `"`)
	return encoded
}
