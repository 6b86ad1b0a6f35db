package check_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/sim/pve"
)

// What the guide's section 5 makes for one release: its pveum lines are the expectation, not the table of this package.
type guide struct {
	roles  map[string][]string          // privileges by role
	grants map[string]map[string]string // role by path, by user
}

// builtIn are Proxmox's own roles, as far as the guide uses them (pve-access-control AccessControl.pm), without what only
// looks.
var builtIn = map[string][]string{"PVETemplateUser": {"VM.Audit", "VM.Clone"}, "PVESDNUser": {"SDN.Use"}}

var (
	roleLine = regexp.MustCompile(`(?m)^pveum role add (\S+) --privs "([^"]+)"`)
	aclLine  = regexp.MustCompile(`(?m)^pveum acl modify (\S+) +--users (\S+) --roles (\S+)`)
)

func readGuide(t *testing.T, release string) guide {
	t.Helper()
	text, err := os.ReadFile("../../PROXMOX_SETUP.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## 5 ")
	section, _, _ = strings.Cut(section, "\n## 6 ")
	g := guide{roles: maps.Clone(builtIn), grants: map[string]map[string]string{}}
	other := map[string]string{"8": "9", "9": "8"}[release]
	for box := range strings.SplitSeq(section, "```") {
		if strings.Contains(box, "# node, Proxmox VE "+other) {
			continue
		}
		for _, m := range roleLine.FindAllStringSubmatch(box, -1) {
			g.roles[m[1]] = strings.Fields(m[2])
		}
		for _, m := range aclLine.FindAllStringSubmatch(box, -1) {
			if g.grants[m[2]] == nil {
				g.grants[m[2]] = map[string]string{}
			}
			g.grants[m[2]][m[1]] = m[3]
		}
	}
	return g
}

// token is an API token of the guide's user with all that the guide grants, but for one privilege on one path.
func (g guide) token(user, exceptPath, exceptPrivilege string) ([]pve.Token, []pve.Role) {
	tok := pve.Token{ID: testToken, Secret: testSecret, Roles: map[string]string{}}
	var roles []pve.Role
	for path, role := range g.grants[user] {
		privileges := g.roles[role]
		if path == exceptPath {
			privileges = slices.DeleteFunc(slices.Clone(privileges), func(p string) bool { return p == exceptPrivilege })
		}
		name := fmt.Sprintf("Test%d", len(roles))
		roles = append(roles, pve.Role{Name: name, Privileges: privileges})
		if len(privileges) > 0 {
			tok.Roles[path] = name
		}
	}
	return []pve.Token{tok}, roles
}

// guideCase is a feature with the guide's user for it.
type guideCase struct {
	name, release, version, user string
	env                          []string
	features                     []check.Feature
}

func guideCases() []guideCase {
	var list []guideCase
	for release, version := range map[string]string{"8": "8.4.14", "9": "9.2.11"} {
		list = append(list,
			guideCase{"run by iso on " + release, release, version, "mayfly@pve", []string{"RUNNER_HANDOFF=iso"}, []check.Feature{check.Run}},
			guideCase{"build on " + release, release, version, "mayfly-image@pve", nil, []check.Feature{check.Build}})
	}
	return list
}

func (gc guideCase) look(t *testing.T, g guide, exceptPath, exceptPrivilege string) []check.Finding {
	t.Helper()
	tokens, roles := g.token(gc.user, exceptPath, exceptPrivilege)
	return look(t, setting{
		pve: pve.Options{Release: gc.version, Tokens: tokens, Roles: roles}, env: gc.env, features: gc.features, token: testToken,
		file: func(c *config.Config) { c.Image.Fetch = "node" },
	})
}

func TestGuidesRolesLackNothing(t *testing.T) {
	for _, gc := range guideCases() {
		t.Run(gc.name, func(t *testing.T) {
			g := readGuide(t, gc.release)
			if len(g.grants[gc.user]) < 5 {
				t.Fatalf("the guide grants %v, want 5 paths at least", g.grants[gc.user])
			}
			for _, f := range bad(gc.look(t, g, "", "")) {
				if f.ID == "proxmox-privileges" {
					t.Errorf("with all that the guide grants: %+v", f)
				}
			}
		})
	}
}

func TestEachPrivilegeTakenAwayIsNamedWithItsPath(t *testing.T) {
	for _, gc := range guideCases() {
		t.Run(gc.name, func(t *testing.T) {
			g := readGuide(t, gc.release)
			tried := 0
			for path, role := range g.grants[gc.user] {
				for _, privilege := range g.roles[role] {
					tried++
					found := slices.DeleteFunc(bad(gc.look(t, g, path, privilege)), func(f check.Finding) bool { return f.ID != "proxmox-privileges" })
					if len(found) != 1 {
						t.Errorf("without %s on %s: %d findings %+v, want one", privilege, path, len(found), found)
						continue
					}
					f := found[0]
					if !strings.Contains(f.Reason, "lacks "+privilege+" on "+path+":") {
						t.Errorf("without %s on %s the reason is %q", privilege, path, f.Reason)
					}
					acl := fmt.Sprintf("pveum acl modify %s --users mayfly@pve --tokens '%s' --roles %s", path, testToken, role)
					if !strings.HasSuffix(f.Cure, acl) {
						t.Errorf("without %s on %s the cure is %q, want %q at its end", privilege, path, f.Cure, acl)
					}
					if add := fmt.Sprintf("pveum role add %s --privs %q", role, privilege); builtIn[role] == nil && !strings.Contains(f.Cure, add) {
						t.Errorf("without %s on %s the cure is %q, want %q in it", privilege, path, f.Cure, add)
					}
				}
			}
			if tried < 20 {
				t.Errorf("tried %d privileges, want 20 at least", tried)
			}
		})
	}
}

// Grants by other paths than the guide's are as good: on the node, on all VMs.
func TestGrantsByOtherPathsCount(t *testing.T) {
	g := readGuide(t, "9")
	grants := g.grants["mayfly@pve"]
	grants["/nodes/pve1"] = grants["/nodes"]
	delete(grants, "/nodes")
	g.roles["AllVMs"] = slices.Concat(g.roles["MayflyVM"], g.roles["PVETemplateUser"])
	grants["/vms"] = "AllVMs"
	delete(grants, "/pool/ci-templates")
	g.roles["MayflyVM"] = []string{"Pool.Audit"}
	gc := guideCase{version: "9.2.11", user: "mayfly@pve", features: []check.Feature{check.Run}}
	for _, f := range bad(gc.look(t, g, "", "")) {
		if f.ID == "proxmox-privileges" {
			t.Errorf("got %+v", f)
		}
	}
}

func TestTokenWithoutAnyGrantIsToldAllOfThem(t *testing.T) {
	g := guide{grants: map[string]map[string]string{"mayfly@pve": {}}}
	gc := guideCase{version: "9.2.11", user: "mayfly@pve", features: []check.Feature{check.Run}}
	var paths []string
	for _, f := range bad(gc.look(t, g, "", "")) {
		if f.ID == "proxmox-privileges" {
			_, path, _ := strings.Cut(f.What, " on ")
			path, _, _ = strings.Cut(path, " ")
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	want := []string{"/nodes", "/pool/ci", "/pool/ci-templates", "/sdn/zones/localnetwork/vmbr0", "/storage/local-lvm"}
	if !slices.Equal(paths, want) {
		t.Errorf("lacks on %v, want %v", paths, want)
	}
}
