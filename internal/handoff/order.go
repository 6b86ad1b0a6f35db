package handoff

import "mayfly/internal/runner"

// PolicyContract is the first version of the run-once contract whose guests keep a pool's policy.
const PolicyContract = 2

// Order is what a guest is told beside its identity.
type Order struct {
	// User runs the job; "" is the image's own choice.
	User string
	// Pool and Policy are what the guest's job-started hook goes by.
	Pool   string
	Policy runner.Policy
	// Contract is the version that the guest said it speaks ([Guest]). Before [PolicyContract] it isn't told of the policy:
	// it would refuse the call.
	Contract int
}

// options are the arguments of run-once.sh that say it.
func (o Order) options() []string {
	var words []string
	if o.User != "" {
		words = append(words, "--user", o.User)
	}
	if o.Contract < PolicyContract {
		return words
	}
	if o.Pool != "" {
		words = append(words, "--pool", o.Pool)
	}
	p := o.Policy
	if len(p.Repositories) > 0 {
		words = append(words, "--repository", p.RepositoryList())
	}
	if len(p.Events) > 0 {
		words = append(words, "--events", p.EventList())
	}
	return append(words, "--forks", p.Forks())
}
