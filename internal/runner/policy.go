package runner

import (
	"fmt"
	"slices"
	"strings"
)

// Policy says which jobs may run on a pool's runners. Its zero value forbids nothing. The dispatcher makes no VM for a
// job that it forbids, and the guest's job-started hook ends one that lands on a runner all the same.
type Policy struct {
	// Repositories are those whose jobs may run, compared without regard to case; empty for any.
	Repositories []Target
	// Events are the events that may start a job, as GitHub names them ("push"); empty for any.
	Events []string
	// DenyForks forbids jobs whose code is a fork's.
	DenyForks bool
}

// Rule names a part of a policy.
type Rule string

// The rules, by their keys in the configuration of a pool.
const (
	RuleRepositories Rule = "jobs.repositories"
	RuleEvents       Rule = "jobs.events"
	RuleForks        Rule = "jobs.forks"
)

// Restricts reports whether the policy forbids anything.
func (p Policy) Restricts() bool { return len(p.Repositories) > 0 || len(p.Events) > 0 || p.DenyForks }

// RepositoryList is the repositories as run-once.sh takes them (docs/run-once.md): with commas, empty for any.
func (p Policy) RepositoryList() string {
	names := make([]string, len(p.Repositories))
	for i, t := range p.Repositories {
		names[i] = t.String()
	}
	return strings.Join(names, ",")
}

// EventList is the events as run-once.sh takes them.
func (p Policy) EventList() string { return strings.Join(p.Events, ",") }

// Forks is "allow" or "deny", as run-once.sh and the configuration take it.
func (p Policy) Forks() string {
	if p.DenyForks {
		return "deny"
	}
	return "allow"
}

// Forbids returns the first rule that forbids the job, and why in words; "" when the job may run. What isn't known of a
// job forbids nothing here: the guest knows more.
func (p Policy) Forbids(j Job) (Rule, string) {
	switch {
	case len(p.Repositories) > 0 && !slices.ContainsFunc(p.Repositories, j.Target.Is):
		return RuleRepositories, fmt.Sprintf("it is of %s, and only %s may", j.Target, strings.ReplaceAll(p.RepositoryList(), ",", ", "))
	case len(p.Events) > 0 && j.Event != "" && !slices.Contains(p.Events, j.Event):
		return RuleEvents, fmt.Sprintf("it was started by %s, and only %s may", j.Event, strings.Join(p.Events, ", "))
	case p.DenyForks && j.Fork:
		from := j.HeadRepository
		if from == "" {
			from = "one that is deleted"
		}
		return RuleForks, fmt.Sprintf("it is of a fork (%s; event %s)", from, j.Event)
	}
	return "", ""
}
