package proxmox

import (
	"regexp"
	"strconv"
)

// Release are the first two numbers of a version.
type Release struct{ Major, Minor int }

// What Mayfly supports (PROXMOX_SETUP.md, section 1): before 8.4 the API takes no disk images, and bodies of 64 KiB at most.
const (
	oldestMajor, oldestMinor = 8, 4
	newestMajor              = 9
)

// releaseForm is how versions begin: 9.2.11, 8.4~rc1, and 7.4-17 in the past.
var releaseForm = regexp.MustCompile(`^([0-9]{1,4})\.([0-9]{1,4})`)

// ParseRelease reads a version as GET /version gives it; ok is false for what is none.
func ParseRelease(version string) (r Release, ok bool) {
	m := releaseForm.FindStringSubmatch(version)
	if m == nil {
		return Release{}, false
	}
	r.Major, _ = strconv.Atoi(m[1])
	r.Minor, _ = strconv.Atoi(m[2])
	return r, true
}

// TooOld reports whether it is before 8.4, which Mayfly needs.
func (r Release) TooOld() bool {
	return r.Major < oldestMajor || r.Major == oldestMajor && r.Minor < oldestMinor
}

// Unknown reports whether it is after 9, with which Mayfly was tried.
func (r Release) Unknown() bool { return r.Major > newestMajor }
