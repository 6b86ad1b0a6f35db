package runner

import (
	"fmt"
	"regexp"
	"strings"
)

// Target is the GitHub repository that a pool serves.
type Target struct {
	Owner string
	Repo  string
}

// targetPart is what GitHub admits in owner and repository names (letters, digits, '-', '_' and '.').
var targetPart = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// ParseTarget reads "OWNER/REPO".
func ParseTarget(s string) (Target, error) {
	owner, repo, ok := strings.Cut(s, "/")
	t := Target{Owner: owner, Repo: repo}
	if !ok || !t.Valid() {
		return Target{}, fmt.Errorf("target %q: want OWNER/REPO, for example NREL/EnergyPlus", s)
	}
	return t, nil
}

// Valid reports whether both parts are names that GitHub admits.
func (t Target) Valid() bool {
	return targetPart.MatchString(t.Owner) && targetPart.MatchString(t.Repo) && t.Repo != "." && t.Repo != ".."
}

// Is reports whether both name one repository: GitHub takes no notice of case.
func (t Target) Is(other Target) bool { return strings.EqualFold(t.String(), other.String()) }

// String returns "OWNER/REPO".
func (t Target) String() string { return t.Owner + "/" + t.Repo }
