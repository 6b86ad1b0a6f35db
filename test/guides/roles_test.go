package guides

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly/test/roles"
)

var update = flag.Bool("update", false, "write docs/roles.md anew")

// TestRolesPage compares docs/roles.md with what docs/roles.yaml says.
func TestRolesPage(t *testing.T) {
	page := filepath.Join(root, "docs", "roles.md")
	want := rolesPage(t, roles.Read(t))
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil { //nolint:gosec // a page for everybody
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, guide(t, "docs/roles.md")); diff != "" {
		t.Errorf("docs/roles.md is not what docs/roles.yaml says; go test ./test/guides -run TestRolesPage -update (-yaml +page):\n%s", diff)
	}
}

func rolesPage(t *testing.T, f roles.File) string {
	var b strings.Builder
	b.WriteString(`<!-- Made of roles.yaml: go test ./test/guides -run TestRolesPage -update -->
# What each token of Proxmox VE needs

Path by path, for each command; the source is [roles.yaml](roles.yaml), which tests read, too: a token with exactly these privileges does the command's work, and
[mayfly check](check.md) names each that is taken away. The commands that make the roles are in [PROXMOX_SETUP.md](../PROXMOX_SETUP.md#5-roles-user-token).

Names that are yours: `)
	var names []string
	for name, what := range f.Names {
		names = append(names, fmt.Sprintf("%#q (%s)", name, what))
	}
	slices.Sort(names)
	b.WriteString(strings.Join(names, ", ") + ".\n")
	for _, c := range f.Commands {
		title := c.Command
		if rest, ok := strings.CutPrefix(c.Name, "run "); ok {
			title += " " + rest
		}
		fmt.Fprintf(&b, "\n## %s\n\nToken `%s!%s`", title, c.User, c.Token)
		if c.Also != "" {
			fmt.Fprintf(&b, ", on top of [mayfly %s](#mayfly-%[1]s)", c.Also)
		}
		if c.Optional {
			b.WriteString(", or whichever is configured. It works with what that has anyway; this lets it see more")
		}
		b.WriteString(".\n\n| path | role | privilege | for | without it |\n|---|---|---|---|---|\n")
		for _, g := range c.Grants {
			path := "`" + g.Path + "`"
			if g.Propagate != nil && !*g.Propagate {
				path += " alone"
			}
			for _, p := range g.Privileges {
				name := "`" + p.Name + "`"
				if p.Release != 0 {
					name += fmt.Sprintf(" (Proxmox VE %d)", p.Release)
				}
				lack := p.Lack
				if lack == "" {
					lack = "it doesn't work"
				}
				fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", path, g.Role, name, p.For, lack)
				path = ""
			}
		}
	}
	b.WriteString("\n## Roles\n\nWhat `pveum role add` makes of that:\n\n| role | privileges |\n|---|---|\n")
	eight, nine := f.Roles(8), f.Roles(9)
	for _, role := range sortedKeys(nine) {
		fmt.Fprintf(&b, "| %s | `%s`", role, strings.Join(nine[role], " "))
		if !slices.Equal(eight[role], nine[role]) {
			fmt.Fprintf(&b, "; on Proxmox VE 8 `%s`", strings.Join(eight[role], " "))
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

// TestSetupGuideMakesTheRolesOfTheRoleFile compares the pveum lines with docs/roles.yaml, both ways.
func TestSetupGuideMakesTheRolesOfTheRoleFile(t *testing.T) {
	f := roles.Read(t)
	for _, release := range []int{8, 9} {
		made := readSetup(t, guide(t, setupGuide), strconv.Itoa(release))
		want := f.Roles(release)
		for _, list := range []map[string][]string{made.roles, want} {
			for _, privileges := range list {
				slices.Sort(privileges)
			}
		}
		if diff := cmp.Diff(want, made.roles); diff != "" {
			t.Errorf("Proxmox VE %d: roles of docs/roles.yaml and of %s differ (-yaml +guide):\n%s", release, setupGuide, diff)
		}
		grants := map[string]map[string]string{}
		var tokens []string
		for _, c := range f.Commands {
			if grants[c.User] == nil {
				grants[c.User] = map[string]string{}
				tokens = append(tokens, c.User+"!"+c.Token)
			}
			for _, g := range c.Grants {
				if had := grants[c.User][g.Path]; had != "" && had != g.Role {
					t.Errorf("docs/roles.yaml: %s gets both %s and %s on %s", c.User, had, g.Role, g.Path)
				}
				grants[c.User][g.Path] = g.Role
			}
		}
		if diff := cmp.Diff(grants, made.grants); diff != "" {
			t.Errorf("Proxmox VE %d: grants of docs/roles.yaml and of %s differ (-yaml +guide):\n%s", release, setupGuide, diff)
		}
		if diff := cmp.Diff(tokens, made.tokens); diff != "" {
			t.Errorf("tokens differ (-yaml +guide):\n%s", diff)
		}
	}
}

func TestRolesOfTheRoleFileAreOnesThatProxmoxKnows(t *testing.T) {
	f := roles.Read(t)
	for _, c := range f.Commands {
		for _, release := range []int{8, 9} {
			known := slices.Concat(bothPrivileges, onlyIn[strconv.Itoa(release)])
			for _, n := range f.Needs(t, c.Name, release) {
				if !slices.Contains(known, n.Name) {
					t.Errorf("%s: Proxmox VE %d has no privilege %s", c.Name, release, n.Name)
				}
				if own := f.BuiltIn[n.Role]; own != nil && !slices.Contains(own, n.Name) {
					t.Errorf("%s: Proxmox's own role %s doesn't have %s", c.Name, n.Role, n.Name)
				}
				if n.For == "" {
					t.Errorf("%s: nobody says what %s on %s is for", c.Name, n.Name, n.Path)
				}
			}
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
