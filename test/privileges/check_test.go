package privileges

import (
	"slices"
	"strings"
	"testing"

	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/github"
	"mayfly/internal/runner"
	"mayfly/internal/sim/pve"
	"mayfly/test/roles"
)

// looked is mayfly check with the token: what it finds that isn't well.
func looked(t *testing.T, release int, needs, except []roles.Need, features []check.Feature, env ...string) []check.Finding {
	t.Helper()
	s := onStage(t, release, needs, except, pve.Options{Lease: "mayfly"})
	defer s.close()
	c, _, err := config.Load(config.LoadOptions{Env: append([]string{
		"PROXMOX_URL=https://pve1:8006", "PROXMOX_NODE=" + node, "PROXMOX_TOKEN_ID=" + tokenID, "PROXMOX_TOKEN_SECRET=" + tokenSecret,
		"PROXMOX_POOL=ci", "PROXMOX_FINGERPRINT=" + strings.TrimSuffix(strings.Repeat("AB:", 32), ":"), "REPO_OWNER=NREL", "REPO_NAME=EnergyPlus",
		"GITHUB_TOKEN=" + s.gh.Info().Token, "RUNNER_LABELS=energyplus,linux", "RUNNER_ID_START=300", "RUNNER_ID_END=319", "MAX_TOTAL_RUNNERS=4",
	}, env...)})
	if err != nil {
		t.Fatal(err)
	}
	c.Image.ResourcePool, c.Image.Fetch = "ci-templates", "node"
	hub, err := github.New(github.Options{Token: runner.NewSecret(s.gh.Info().Token), Transport: s.gh.RoundTripper()})
	if err != nil {
		t.Fatal(err)
	}
	found := check.Look(t.Context(), check.Options{Config: c, Proxmox: s.client(), GitHub: hub, Features: features})
	return slices.DeleteFunc(found, func(f check.Finding) bool { return f.Level == check.OK })
}

// tells reports whether a finding names the privilege, its path and a command that grants the role there.
func tells(found []check.Finding, n roles.Need) bool {
	return slices.ContainsFunc(found, func(f check.Finding) bool {
		return strings.Contains(f.Reason, "lacks "+n.Name+" on "+n.Path+":") && strings.Contains(f.Cure, "pveum acl modify "+n.Path+" ") && strings.Contains(f.Cure, n.Role)
	})
}
