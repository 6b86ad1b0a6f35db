package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// Duration is a span of time in mayfly.yaml: "15s", "1h30m", or a whole number of seconds.
type Duration time.Duration

// durationPattern is what parseDuration reads, for the JSON Schema.
const durationPattern = `^([0-9]+|([0-9]+(\.[0-9]+)?(h|m|s|ms))+)$`

var durationForm = regexp.MustCompile(durationPattern)

func parseDuration(s string) (Duration, bool) {
	if !durationForm.MatchString(s) {
		return 0, false
	}
	if _, err := strconv.Atoi(s); err == nil {
		s += "s"
	}
	d, err := time.ParseDuration(s)
	return Duration(d), err == nil
}

// String drops the units that say nothing: "5m", not "5m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Size is an amount of memory in mayfly.yaml: "8GiB" or "6144MiB".
type Size runner.Bytes

// sizePattern is what parseSize reads, for the JSON Schema.
const sizePattern = `^[1-9][0-9]{0,6} ?(MiB|GiB)$`

var sizeForm = regexp.MustCompile(sizePattern)

// The memory that Proxmox lets a VM have, in its schema of PUT /nodes/{node}/qemu/{vmid}/config: "memory" is at least
// 16 MiB. The upper end is only there to catch a wrong unit.
const (
	minMemory = Size(16 * runner.MiB)
	maxMemory = Size(4096 * runner.GiB)
)

func parseSize(s string) (Size, bool) {
	if !sizeForm.MatchString(s) {
		return 0, false
	}
	unit := runner.MiB
	if strings.HasSuffix(s, "GiB") {
		unit = runner.GiB
	}
	n, err := strconv.ParseInt(strings.TrimSpace(s[:len(s)-len("MiB")]), 10, 64)
	return Size(n * int64(unit)), err == nil
}

// String is the form that parseSize reads.
func (s Size) String() string {
	if b := runner.Bytes(s); b%runner.GiB == 0 {
		return fmt.Sprintf("%dGiB", b/runner.GiB)
	}
	return fmt.Sprintf("%dMiB", runner.Bytes(s)/runner.MiB)
}
