package check_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/sim/pve"
	"mayfly/test/roles"
)

// roleCase is a command of docs/roles.yaml on one release: that file is the expectation, not the table of this package.
type roleCase struct {
	command  string
	release  int
	version  string
	env      []string
	features []check.Feature
}

func (rc roleCase) String() string { return fmt.Sprintf("%s on %d", rc.command, rc.release) }

func roleCases() []roleCase {
	var list []roleCase
	for release, version := range map[int]string{8: "8.4.14", 9: "9.2.11"} {
		list = append(list,
			roleCase{"run", release, version, nil, []check.Feature{check.Run}},
			roleCase{"run with hand-off iso", release, version, []string{"RUNNER_HANDOFF=iso"}, []check.Feature{check.Run}},
			roleCase{"run with lease", release, version, []string{"LEASE_ENABLED=true"}, []check.Feature{check.Run}},
			roleCase{"build", release, version, nil, []check.Feature{check.Build}},
			roleCase{"bootstrap", release, version, nil, []check.Feature{check.Bootstrap}})
	}
	return list
}

// look checks with a token that may do exactly what is needed, but for some.
func (rc roleCase) look(t *testing.T, needs []roles.Need, except ...roles.Need) []check.Finding {
	t.Helper()
	token, made := roles.Token(testToken, testSecret, needs, except...)
	return look(t, setting{
		pve: pve.Options{Release: rc.version, Tokens: []pve.Token{token}, Roles: made}, env: rc.env, features: rc.features, token: testToken,
		file: func(c *config.Config) { c.Image.Fetch = "node" },
	})
}

// lacking are the findings of missing privileges.
func lacking(list []check.Finding) []check.Finding {
	return slices.DeleteFunc(bad(list), func(f check.Finding) bool { return f.ID != "proxmox-privileges" })
}

func TestRolesOfTheDocsLackNothing(t *testing.T) {
	for _, rc := range roleCases() {
		t.Run(rc.String(), func(t *testing.T) {
			needs := roles.Read(t).Needs(t, rc.command, rc.release)
			if len(needs) < 15 {
				t.Fatalf("%d privileges, want 15 at least", len(needs))
			}
			for _, f := range lacking(rc.look(t, needs)) {
				t.Errorf("with all that the docs say: %+v", f)
			}
		})
	}
}

func TestEachPrivilegeTakenAwayIsNamedWithItsPath(t *testing.T) {
	for _, rc := range roleCases() {
		t.Run(rc.String(), func(t *testing.T) {
			file := roles.Read(t)
			needs := file.Needs(t, rc.command, rc.release)
			for _, n := range needs {
				found := lacking(rc.look(t, needs, n))
				if len(found) != 1 {
					t.Errorf("without %s on %s: %d findings %+v, want one", n.Name, n.Path, len(found), found)
					continue
				}
				f := found[0]
				if !strings.Contains(f.Reason, "lacks "+n.Name+" on "+n.Path+":") {
					t.Errorf("without %s on %s the reason is %q", n.Name, n.Path, f.Reason)
				}
				if n.Lack == "" && f.Level != check.Error {
					t.Errorf("without %s on %s it doesn't work, and the finding is: %+v", n.Name, n.Path, f)
				}
				acl := fmt.Sprintf("pveum acl modify %s --users mayfly@pve --tokens '%s' --roles %s", n.Path, testToken, n.Role)
				if !strings.HasSuffix(f.Cure, acl) {
					t.Errorf("without %s on %s the cure is %q, want %q at its end", n.Name, n.Path, f.Cure, acl)
				}
				if add := fmt.Sprintf("pveum role add %s --privs %q", n.Role, n.Name); file.BuiltIn[n.Role] == nil && !strings.Contains(f.Cure, add) {
					t.Errorf("without %s on %s the cure is %q, want %q in it", n.Name, n.Path, f.Cure, add)
				}
			}
		})
	}
}

// Grants by other paths than the docs' are as good: on the node, on all VMs.
func TestGrantsByOtherPathsCount(t *testing.T) {
	rc := roleCase{release: 9, version: "9.2.11", features: []check.Feature{check.Run}}
	var needs []roles.Need
	for _, n := range roles.Read(t).Needs(t, "run", rc.release) {
		switch {
		case n.Path == "/nodes":
			n.Path = "/nodes/pve1"
		case strings.HasPrefix(n.Name, "VM."):
			n.Path = "/vms"
		}
		needs = append(needs, n)
	}
	for _, f := range lacking(rc.look(t, needs)) {
		t.Errorf("got %+v", f)
	}
}

// A grant on the VLAN that a template's card is on is enough, one on another is not.
func TestGrantOnTheVLANCounts(t *testing.T) {
	for vlan, want := range map[string]int{"40": 0, "41": 1} {
		var needs []roles.Need
		for _, n := range roles.Read(t).Needs(t, "run", 9) {
			if n.Name == "SDN.Use" {
				n.Path += "/" + vlan
			}
			needs = append(needs, n)
		}
		token, made := roles.Token(testToken, testSecret, needs)
		found := lacking(look(t, setting{
			pve: pve.Options{Tokens: []pve.Token{token}, Roles: made}, token: testToken, admin: set(t, 9000, map[string]string{"net0": "virtio,bridge=vmbr0,firewall=1,tag=40"}),
		}))
		if len(found) != want {
			t.Errorf("on VLAN %s: %+v, want %d findings", vlan, found, want)
		}
	}
}

// With auto it is the finding of the hand-off that says whether any way works.
func TestAutoDoesWithoutTheAgentsPrivileges(t *testing.T) {
	rc := roleCase{release: 9, version: "9.2.11", env: []string{"RUNNER_HANDOFF=auto"}, features: []check.Feature{check.Run}}
	needs := slices.DeleteFunc(roles.Read(t).Needs(t, "run", 9), func(n roles.Need) bool { return strings.HasPrefix(n.Name, "VM.GuestAgent") })
	found := rc.look(t, needs)
	if list := lacking(found); len(list) != 1 || list[0].Level != check.Warning {
		t.Errorf("privileges: %+v", list)
	}
	if f := finding(t, found, "handoff"); f.Level != check.Error || !strings.Contains(f.Reason, "VM.GuestAgent.Unrestricted") {
		t.Errorf("hand-off: %+v", f)
	}
}

func TestTokenWithoutAnyGrantIsToldAllOfThem(t *testing.T) {
	rc := roleCase{release: 9, version: "9.2.11", features: []check.Feature{check.Run}}
	var paths, want []string
	for _, f := range lacking(rc.look(t, nil)) {
		_, path, _ := strings.Cut(f.What, " on ")
		path, _, _ = strings.Cut(path, " ")
		paths = append(paths, path)
	}
	for _, g := range roles.Read(t).Grants(t, "run") {
		want = append(want, g.Path)
	}
	slices.Sort(paths)
	slices.Sort(want)
	if !slices.Equal(paths, want) {
		t.Errorf("lacks on %v, want %v", paths, want)
	}
}
