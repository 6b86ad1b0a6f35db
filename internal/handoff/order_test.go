package handoff_test

import (
	"slices"
	"strings"
	"testing"

	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

func TestOnlyGuestsOfContractTwoAreToldOfThePolicy(t *testing.T) {
	energyplus := runner.Target{Owner: "NREL", Repo: "EnergyPlus"}
	strict := runner.Policy{Repositories: []runner.Target{energyplus, {Owner: "NREL", Repo: "other"}}, Events: []string{"push", "pull_request"}, DenyForks: true}
	for name, tc := range map[string]struct {
		order handoff.Order
		want  string
	}{
		"contract 2":               {handoff.Order{User: "ci", Pool: "ep", Policy: strict, Contract: 2}, "--user ci --pool ep --repository NREL/EnergyPlus,NREL/other --events push,pull_request --forks deny --jit " + jit.Name},
		"contract 3":               {handoff.Order{Policy: runner.Policy{DenyForks: true}, Contract: 3}, "--forks deny --jit " + jit.Name},
		"nothing forbidden":        {handoff.Order{Pool: "ep", Contract: 2}, "--pool ep --forks allow --jit " + jit.Name},
		"contract 1":               {handoff.Order{User: "ci", Pool: "ep", Policy: strict, Contract: 1}, "--user ci --jit " + jit.Name},
		"a guest that hasn't said": {handoff.Order{Pool: "ep", Policy: strict}, "--jit " + jit.Name},
	} {
		t.Run(name, func(t *testing.T) {
			g := &guest{run: func([]string, string) (proxmox.ExecStatus, error) { return proxmox.ExecStatus{}, nil }}
			if err := handoff.NewAgent(g, handoff.AgentOptions{}).Deliver(t.Context(), vm, tc.order, jit); err != nil {
				t.Fatal(err)
			}
			if want := append([]string{handoff.Script}, strings.Fields(tc.want)...); !slices.Equal(g.execs[0], want) {
				t.Errorf("command %q, want %q", g.execs[0], want)
			}
		})
	}
}
