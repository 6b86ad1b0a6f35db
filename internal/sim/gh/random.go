package gh

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
)

// choice is a number that depends on the seed and on what it is for, and on nothing else: choices neither share a
// sequence nor depend on which goroutine asks first.
type choice uint64

// seeded makes the choice for the given parts.
func seeded(seed uint64, parts ...any) choice {
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, seed)
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "\x00%v", p)
	}
	return choice(mix(h.Sum64()))
}

// mix is the finaliser of splitmix64: FNV alone changes few high bits for a change at the end.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below picks a number from 0 to n-1.
func (c choice) below(n int) int { return int(uint64(c) % uint64(n)) } //nolint:gosec // n is a small length

// text spells n letters and digits.
func (c choice) text(n int) string {
	return c.spell(n, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
}

// hex spells n hexadecimal digits.
func (c choice) hex(n int) string { return c.spell(n, "0123456789abcdef") }

func (c choice) spell(n int, alphabet string) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = alphabet[mix(uint64(c)+uint64(i))%uint64(len(alphabet))] //nolint:gosec // i is small
	}
	return string(out)
}
