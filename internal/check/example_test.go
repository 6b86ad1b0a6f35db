package check_test

import (
	"context"
	"fmt"

	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/github"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Servers that don't answer are findings like any other.
func Example() {
	target := runner.Target{Owner: "NREL", Repo: "EnergyPlus"}
	c := &config.Config{
		Proxmox: config.Proxmox{Endpoints: []string{"https://127.0.0.1:1"}, TokenID: "mayfly@pve!dispatcher"},
		GitHub:  config.GitHub{APIURL: "http://127.0.0.1:1"},
		Pools:   []runner.Pool{{Name: "energyplus", Target: target}},
	}
	pve, err := proxmox.New(proxmox.Options{Endpoints: c.Proxmox.Endpoints, TokenID: c.Proxmox.TokenID, TokenSecret: runner.NewSecret("secret")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pve.Close()
	gh, err := github.New(github.Options{BaseURL: c.GitHub.APIURL, Token: runner.NewSecret("secret")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer gh.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // nobody waits for an answer here
	findings := check.Look(ctx, check.Options{Config: c, Proxmox: pve, GitHub: gh})
	for _, f := range findings {
		fmt.Println(f.Level, f.ID)
	}
	fmt.Println("worst:", check.Worst(findings))
	// Output:
	// error proxmox-reachable
	// error github-reachable
	// worst: error
}
