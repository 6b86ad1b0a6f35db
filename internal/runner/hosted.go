package runner

import (
	"regexp"
	"slices"
)

// hosted are the labels of GitHub's own runners (GitHub docs, "GitHub-hosted runners reference", workflow labels).
var hosted = regexp.MustCompile(`(?i)^(ubuntu-(latest|slim|[0-9]{2}\.[0-9]{2})|windows-(latest|20[0-9]{2}|11)|macos-(latest|[0-9]{2}))(-(arm|arm64|large|xlarge|intel))?$`)

// Hosted reports whether a label is one of GitHub's own runners: "ubuntu-22.04".
func Hosted(label string) bool { return hosted.MatchString(label) }

// HostedLabels are those of the pool's labels that GitHub's own runners have, too.
func (p Pool) HostedLabels() []string {
	return slices.DeleteFunc(slices.Clone(p.Labels), func(l string) bool { return !Hosted(l) })
}

// LeavesToGitHub reports whether the job is one for GitHub's own runners, though the pool has all of its labels: it names nothing
// but theirs, and the pool has other labels that a job for it would name ("self-hosted" doesn't count, as every pool has it).
// A pool that has no others wants such jobs.
func (p Pool) LeavesToGitHub(j Job) bool {
	return len(j.Labels) > 0 && len(p.HostedLabels()) < len(p.Labels) && !slices.ContainsFunc(j.Labels, func(l string) bool { return !Hosted(l) })
}
