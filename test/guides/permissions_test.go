package guides

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"mayfly/internal/sim/pve"
	"mayfly/internal/sim/world"
)

const setupGuide = "PROXMOX_SETUP.md"

// What Proxmox VE 9.2 and 8.4 know (the privileges that their API schemas name, with VM.Monitor's and
// VM.GuestAgent's in the one that has them).
var (
	bothPrivileges = []string{
		"Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Datastore.Audit",
		"Mapping.Modify", "Pool.Allocate", "Pool.Audit", "SDN.Audit", "SDN.Use", "Sys.AccessNetwork", "Sys.Audit", "Sys.Modify",
		"VM.Allocate", "VM.Audit", "VM.Clone", "VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Cloudinit", "VM.Config.Disk",
		"VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options", "VM.Console", "VM.PowerMgmt",
	}
	onlyIn = map[string][]string{
		"8": {"VM.Monitor"},
		"9": {"VM.GuestAgent.Audit", "VM.GuestAgent.FileRead", "VM.GuestAgent.FileWrite", "VM.GuestAgent.Unrestricted"},
	}
	builtInRoles = []string{"PVETemplateUser", "PVESDNUser"}
)

// setup is what the `pveum` lines of a guide make, for one release of Proxmox VE.
type setup struct {
	roles  map[string][]string          // privileges by role
	grants map[string]map[string]string // role by path, by user
	pools  []string
	tokens []string
}

// readSetup reads the lines. A box that names a release is for that release alone.
func readSetup(t *testing.T, text, release string) setup {
	t.Helper()
	s := setup{roles: map[string][]string{}, grants: map[string]map[string]string{}}
	for box := range strings.SplitSeq(text, "```") {
		if other := map[string]string{"8": "9", "9": "8"}[release]; strings.Contains(box, "# node, Proxmox VE "+other) {
			continue
		}
		for line := range strings.SplitSeq(strings.ReplaceAll(strings.Join(commands("```\n"+box+"```\n"), "\n"), " && ", "\n"), "\n") {
			w := words(line)
			if len(w) < 4 || w[0] != "pveum" {
				continue
			}
			o := options(w)
			switch w[1] + " " + w[2] {
			case "role add":
				s.roles[w[3]] = strings.Fields(o["privs"])
			case "acl modify":
				if s.grants[o["users"]] == nil {
					s.grants[o["users"]] = map[string]string{}
				}
				s.grants[o["users"]][w[3]] = o["roles"]
			case "pool add":
				s.pools = append(s.pools, w[3])
			case "user token":
				if w[3] == "add" {
					s.tokens = append(s.tokens, w[4]+"!"+w[5])
				}
			}
		}
	}
	return s
}

func TestRolesHaveOnlyPrivilegesThatTheReleaseKnows(t *testing.T) {
	for _, release := range []string{"8", "9"} {
		s := readSetup(t, guide(t, setupGuide), release)
		known := slices.Concat(bothPrivileges, onlyIn[release])
		if len(s.roles) < 5 {
			t.Errorf("Proxmox VE %s: roles %v, want 5 at least", release, slices.Collect(maps.Keys(s.roles)))
		}
		for role, privileges := range s.roles {
			if len(privileges) == 0 {
				t.Errorf("role %s has no privileges", role)
			}
			for _, p := range privileges {
				if !slices.Contains(known, p) {
					t.Errorf("Proxmox VE %s has no privilege %s, which role %s wants", release, p, role)
				}
			}
		}
		for user, grants := range s.grants {
			for path, role := range grants {
				if s.roles[role] == nil && !slices.Contains(builtInRoles, role) {
					t.Errorf("%s gets role %q on %s, which nothing makes", user, role, path)
				}
			}
			if !slices.ContainsFunc(s.tokens, func(id string) bool { return strings.HasPrefix(id, user+"!") }) {
				t.Errorf("%s has permissions and no token", user)
			}
		}
	}
}

func TestReadmeGivesTheSamePermissionsAsTheSetupGuide(t *testing.T) {
	short, long := readSetup(t, guide(t, "README.md"), "9"), readSetup(t, guide(t, setupGuide), "9")
	const user = "mayfly@pve"
	// The guide says more: the hand-off iso.
	for path, role := range short.grants[user] {
		if long.grants[user][path] != role || !slices.Equal(short.roles[role], long.roles[role]) {
			t.Errorf("README.md: role %q (%v) on %s; %s: %q (%v)", role, short.roles[role], path, setupGuide, long.grants[user][path], long.roles[role])
		}
	}
	if len(short.grants[user]) < 5 {
		t.Errorf("README.md grants %v, want 5 at least", short.grants[user])
	}
}

// cluster is a stand-in whose users have what the guide gives them on Proxmox VE 9.
func cluster(t *testing.T) (*pve.Server, setup) {
	t.Helper()
	s := readSetup(t, guide(t, setupGuide), "9")
	guests := world.NewGuests(world.GuestOptions{})
	server := pve.New(guideOptions(s, guests))
	t.Cleanup(func() {
		server.Close()
		guests.Close()
	})
	return server, s
}

// guideOptions give a stand-in the users of the guide, with what they are granted there.
func guideOptions(s setup, guests *world.Guests) pve.Options {
	o := pve.Options{Engine: guests}
	for name, privileges := range s.roles {
		o.Roles = append(o.Roles, pve.Role{Name: name, Privileges: privileges})
	}
	for _, id := range s.tokens {
		user, _, _ := strings.Cut(id, "!")
		o.Tokens = append(o.Tokens, pve.Token{ID: id, Secret: secretOf(id), Roles: s.grants[user]})
	}
	return o
}

// secretOf is the secret that the stand-in knows a token by.
func secretOf(id string) string { return "00000000-0000-4000-8000-" + (id + "-------------")[:12] }
