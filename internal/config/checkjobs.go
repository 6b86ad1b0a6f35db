package config

import (
	"fmt"
	"slices"
	"strings"
)

// The values of a pool's jobs.forks.
const (
	forksDeny  = "deny"
	forksAllow = "allow"
)

// checkJobs refuses a policy that lets nothing run, and warns of one that hardly can be meant.
func (l *loader) checkJobs(p *FilePool, at string) {
	if path := at + ".repositories"; l.origins.given(path) && !l.bad(path) {
		switch {
		case len(p.Jobs.Repositories) == 0:
			l.problem(l.origins[path], path, "an empty list", "want at least the pool's target, or leave the key out")
		case !l.bad(strings.TrimSuffix(at, ".jobs") + ".target"):
			for _, t := range p.repositories() {
				if !slices.ContainsFunc(p.Jobs.Repositories, func(r string) bool { return strings.EqualFold(r, t) }) {
					l.problem(l.origins[path], path, fmt.Sprintf("lacks the pool's target %s, so none of its jobs could run", t), "want the target among them")
				}
			}
		}
		for i, r := range p.Jobs.Repositories {
			if !isTarget(r) {
				f, _ := formOf("target")
				l.problem(l.origins[path], index(path, i), fmt.Sprintf("%q is not a repository", r), f.want)
			}
		}
	}
	path := at + ".events"
	if !l.origins.given(path) || l.bad(path) {
		return
	}
	if len(p.Jobs.Events) == 0 {
		l.problem(l.origins[path], path, "an empty list", "want at least one event, or leave the key out for any")
	}
	for _, event := range p.Jobs.Events {
		if near, ok := nearest(event, events()); !slices.Contains(events(), event) && ok {
			l.warn(l.origins[path], path, fmt.Sprintf("%q is no event that GitHub has today; did you mean %q?", event, near))
		}
	}
}

// events are those that start workflows (GitHub docs, "Events that trigger workflows"). There may be more by now, so
// others are taken, too.
func events() []string {
	return []string{
		"branch_protection_rule", "check_run", "check_suite", "create", "delete", "deployment", "deployment_status", "discussion",
		"discussion_comment", "dynamic", "fork", "gollum", "image_version", "issue_comment", "issues", "label", "merge_group", "milestone",
		"page_build", "public", "pull_request", "pull_request_review", "pull_request_review_comment", "pull_request_target", "push",
		"registry_package", "release", "repository_dispatch", "schedule", "status", "watch", "workflow_dispatch", "workflow_run",
	}
}
