package fleet

import (
	"fmt"

	"mayfly/internal/handoff"

	"mayfly/internal/runner"
)

// forbidden tells why no pool makes a runner for a job that fits at least one: that pool's policy, of the first by name
// where there are several.
func (p *planner) forbidden(j runner.Job) (pool string, r Reason, yes bool) {
	for _, candidate := range p.s.Pools {
		if !p.fits(candidate, j) || yes && candidate.Name > pool {
			continue
		}
		rule, why := candidate.Jobs.Forbids(j)
		if rule == "" {
			continue
		}
		yes, pool = true, candidate.Name
		r = Reason{codeOf(rule), fmt.Sprintf("pool %s makes no runner for it by %s: %s", pool, rule, why)}
	}
	return pool, r, yes
}

func codeOf(r runner.Rule) Code {
	switch r {
	case runner.RuleRepositories:
		return WaitPolicyRepository
	case runner.RuleEvents:
		return WaitPolicyEvent
	case runner.RuleForks:
	}
	return WaitPolicyFork
}

// sayPolicy tells once for each template that its guests don't keep the pool's policy. They serve all the same: the
// dispatcher spends no VM on what is forbidden, and those who run an older image have always done without.
func (c *Controller) sayPolicy(pool runner.Pool, g handoff.Guest) {
	key := "policy " + pool.Base()
	if g.Contract >= handoff.PolicyContract || !pool.Jobs.Restricts() || c.saidOnce[key] {
		return
	}
	c.saidOnce[key] = true
	c.log.Warn("policy not kept by the image", "pool", pool.Name, "template", pool.Base(),
		"reason", fmt.Sprintf("its run-once contract is %d, and only %d and later refuse a forbidden job that lands on a runner; rebuild the image", g.Contract, handoff.PolicyContract))
}
