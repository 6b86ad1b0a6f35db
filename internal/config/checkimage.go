package config

import (
	"fmt"
	"strings"
)

// checkImage holds the keys of the image section against each other.
func (l *loader) checkImage() {
	i := &l.file.Image
	if path := "image.vmids.end"; !l.bad("image.vmids") && i.VMIDs.Start > i.VMIDs.End {
		l.problem(l.origins[path], path, fmt.Sprintf("the range from %d to %d is empty", i.VMIDs.Start, i.VMIDs.End), "want start before end")
	}
	if !l.bad("image.runner_version") && !l.bad("image.runner_sha256") && (i.RunnerVersion == "") != (i.RunnerSHA256 == "") {
		alone, other := "image.runner_version", "image.runner_sha256"
		if i.RunnerVersion == "" {
			alone, other = other, alone
		}
		l.problem(l.origins[alone], alone, "it stands alone", "want "+other+" beside it, or neither for GitHub's latest release")
	}
	seen := map[string]bool{}
	for n, s := range i.Sources {
		at := index("image.sources", n)
		if seen[s.Name] {
			l.problem(l.origins[at+".name"], at+".name", fmt.Sprintf("%q has a source already", s.Name), "want one for each image")
		}
		seen[s.Name] = true
		if strings.HasPrefix(s.URL, "http://") && !l.bad(at) {
			l.warn(l.origins[at+".url"], at+".url", "http can be read in between; the checksum still holds")
		}
	}
}
