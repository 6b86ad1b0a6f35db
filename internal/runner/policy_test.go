package runner

import (
	"strings"
	"testing"
)

func TestPolicyForbidsByItsFirstRuleThatSaysSo(t *testing.T) {
	ours := Target{Owner: "NREL", Repo: "EnergyPlus"}
	strict := Policy{Repositories: []Target{ours}, Events: []string{"push", "pull_request"}, DenyForks: true}
	for name, tc := range map[string]struct {
		policy Policy
		job    Job
		rule   Rule
		words  string
	}{
		"nothing is forbidden":         {Policy{}, Job{Target: ours, Event: "pull_request", Fork: true}, "", ""},
		"a push":                       {strict, Job{Target: ours, Event: "push"}, "", ""},
		"a repository in other case":   {strict, Job{Target: Target{Owner: "nrel", Repo: "ENERGYPLUS"}, Event: "push"}, "", ""},
		"an own pull request":          {strict, Job{Target: ours, Event: "pull_request", HeadRepository: "NREL/EnergyPlus"}, "", ""},
		"an event that isn't known":    {strict, Job{Target: ours}, "", ""},
		"another repository":           {strict, Job{Target: Target{Owner: "NREL", Repo: "other"}, Event: "schedule", Fork: true}, RuleRepositories, "NREL/other"},
		"another event":                {strict, Job{Target: ours, Event: "schedule", Fork: true}, RuleEvents, "schedule"},
		"an event of the same letters": {strict, Job{Target: ours, Event: "pull_request_target"}, RuleEvents, "pull_request_target"},
		"a fork":                       {strict, Job{Target: ours, Event: "pull_request", Fork: true, HeadRepository: "mallory/EnergyPlus"}, RuleForks, "mallory/EnergyPlus"},
		"a deleted fork":               {strict, Job{Target: ours, Event: "pull_request", Fork: true}, RuleForks, "deleted"},
		"forks alone":                  {Policy{DenyForks: true}, Job{Target: ours, Event: "schedule"}, "", ""},
	} {
		rule, words := tc.policy.Forbids(tc.job)
		if rule != tc.rule || !strings.Contains(words, tc.words) || (rule == "") != (words == "") {
			t.Errorf("%s: %q %q, want %q %q", name, rule, words, tc.rule, tc.words)
		}
		if tc.policy.Restricts() != (name != "nothing is forbidden") {
			t.Errorf("%s: restricts %v", name, tc.policy.Restricts())
		}
	}
}
