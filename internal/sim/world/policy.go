package world

import (
	"encoding/json"
	"slices"
	"strings"

	"mayfly/internal/sim/runnerproto"
)

// policy is what job-started.sh goes by: the options --pool, --repository, --events and --forks of run-once.sh.
type policy struct {
	pool                 string
	repositories, events []string
	denyForks            bool
}

// set takes one option's value; false when it isn't one that run-once.sh takes.
func (p *policy) set(option, value string) bool {
	var list []string
	if value != "" {
		list = strings.Split(value, ",")
	}
	switch option {
	case "--pool":
		p.pool = value
		return value == "" || plainName(value)
	case "--repository":
		p.repositories = list
		for _, r := range list {
			if owner, name, ok := strings.Cut(r, "/"); !ok || !plainName(owner) || !plainName(name) {
				return false
			}
		}
	case "--events":
		p.events = list
	case "--forks":
		p.denyForks = value == "deny"
		return value == "" || value == "allow" || value == "deny"
	}
	return true
}

func (p *policy) restricts() bool { return len(p.repositories) > 0 || len(p.events) > 0 || p.denyForks }

// refusal is the key that forbids a job; "" when it may run.
func (p *policy) refusal(msg runnerproto.Message) string {
	same := func(r string) bool { return strings.EqualFold(r, msg.Repository) }
	switch {
	case len(p.repositories) > 0 && !slices.ContainsFunc(p.repositories, same):
		return "jobs.repositories"
	case len(p.events) > 0 && !slices.Contains(p.events, msg.Event):
		return "jobs.events"
	case p.denyForks && !ownCode(msg):
		return "jobs.forks"
	}
	return ""
}

// ownCode reads in a payload whether the code is the repository's own.
func ownCode(msg runnerproto.Message) bool {
	type repository struct {
		ID int64 `json:"id"`
	}
	var event struct {
		Repository  *repository `json:"repository"`
		PullRequest *struct {
			Head struct {
				Repo *repository `json:"repo"`
			} `json:"head"`
		} `json:"pull_request"`
		WorkflowRun *struct {
			HeadRepository *repository `json:"head_repository"`
		} `json:"workflow_run"`
	}
	pullRequest := strings.HasPrefix(msg.Event, "pull_request")
	if !pullRequest && msg.Event != "workflow_run" {
		return msg.Event != ""
	}
	if json.Unmarshal(msg.Payload, &event) != nil || event.Repository == nil {
		return false
	}
	var head *repository
	switch {
	case pullRequest && event.PullRequest != nil:
		head = event.PullRequest.Head.Repo
	case !pullRequest && event.WorkflowRun != nil:
		head = event.WorkflowRun.HeadRepository
	}
	return head != nil && head.ID == event.Repository.ID
}
