package handoff

import "mayfly/internal/runner"

// SeedIdentity is an identity that may be a registration token in place of a JIT config. With a token there is no
// RegistrationID yet: the guest registers itself, under Name.
type SeedIdentity struct {
	runner.Identity
	RegistrationToken runner.Secret
}

// SeedGuest is what the user-data says beside the identity.
type SeedGuest struct {
	VM      VM
	User    string   // who runs the job
	RepoURL string   // where config.sh registers
	Labels  []string // the runner's, with self-hosted
	// Pool and Policy are what the guest's job-started hook goes by.
	Pool   string
	Policy runner.Policy
	// Config is the VM's config as read (proxmox.VMConfig.Values).
	Config map[string]string
}
