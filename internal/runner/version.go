package runner

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// versionTime is the first part of an image's version.
const versionTime = "20060102-1504"

var versionForm = regexp.MustCompile(`^([0-9]{8}-[0-9]{4})(?:\.([1-9][0-9]{0,2}))?$`)

// NewVersion is the version of an image that is built at that time (UTC, to the minute). A number from 1 to 999 sets
// further builds of the same minute apart; 0 is for the first.
func NewVersion(at time.Time, number int) string {
	v := at.UTC().Format(versionTime)
	if number > 0 {
		v += "." + strconv.Itoa(number)
	}
	return v
}

// CheckVersion returns an error that tells the accepted form when v isn't the version of an image.
func CheckVersion(v string) error {
	if _, _, ok := parseVersion(v); !ok {
		return fmt.Errorf("image version %q: want the UTC time of the build as YYYYMMDD-HHMM, and perhaps .1 to .999", v)
	}
	return nil
}

func parseVersion(v string) (at time.Time, number int, ok bool) {
	m := versionForm.FindStringSubmatch(v)
	if m == nil {
		return time.Time{}, 0, false
	}
	at, err := time.Parse(versionTime, m[1])
	if err != nil {
		return time.Time{}, 0, false
	}
	if m[2] != "" {
		number, err = strconv.Atoi(m[2])
	}
	return at, number, err == nil
}

// CompareVersions is negative when a is older than b, positive when it is newer. What isn't a version is older than
// any that is.
func CompareVersions(a, b string) int {
	atA, numberA, okA := parseVersion(a)
	atB, numberB, okB := parseVersion(b)
	switch {
	case !okA || !okB:
		return cmp.Or(boolRank(okA)-boolRank(okB), cmp.Compare(a, b))
	default:
		return cmp.Or(atA.Compare(atB), cmp.Compare(numberA, numberB))
	}
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}
