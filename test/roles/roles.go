package roles

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"

	"mayfly/internal/sim/pve"
)

// File is the role file.
type File struct {
	BuiltIn  map[string][]string `yaml:"built_in"` // privileges by role of Proxmox VE's own
	Names    map[string]string   `yaml:"names"`
	Commands []Command           `yaml:"commands"`
}

// Command is what one command's token needs.
type Command struct {
	Name    string `yaml:"name"`
	Command string `yaml:"command"` // as it is typed
	Also    string `yaml:"also"`    // the name of a command whose needs come on top; "" for none
	User    string `yaml:"user"`
	Token   string `yaml:"token"`
	// Optional says that the command works without any of it.
	Optional bool    `yaml:"optional"`
	Grants   []Grant `yaml:"grants"`
}

// Grant is what it needs on one path, by the role that is granted there.
type Grant struct {
	Path       string      `yaml:"path"`
	Role       string      `yaml:"role"`
	Propagate  *bool       `yaml:"propagate"`
	Privileges []Privilege `yaml:"privileges"`
}

// Privilege is one of them.
type Privilege struct {
	Name    string `yaml:"name"`
	Release int    `yaml:"release"` // 8 or 9 for one that only it has; 0 for both
	For     string `yaml:"for"`
	// Lack is what happens without it where the command goes on; "" where it can't.
	Lack string `yaml:"lack"`
}

// In reports whether a release of Proxmox VE, 8 or 9, has the privilege.
func (p Privilege) In(release int) bool { return p.Release == 0 || p.Release == release }

// Read reads docs/roles.yaml of this checkout.
func Read(t testing.TB) File {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(here), "..", "..", "docs", "roles.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var f File
	if err := yaml.UnmarshalWithOptions(text, &f, yaml.Strict()); err != nil {
		t.Fatalf("docs/roles.yaml: %v", err)
	}
	return f
}

// Grants are all that the command needs, those of Also first.
func (f File) Grants(t testing.TB, command string) []Grant {
	t.Helper()
	c := f.Command(t, command)
	if c.Also == "" {
		return c.Grants
	}
	return append(f.Grants(t, c.Also), c.Grants...)
}

// Command is the one of that name.
func (f File) Command(t testing.TB, name string) Command {
	t.Helper()
	at := slices.IndexFunc(f.Commands, func(c Command) bool { return c.Name == name })
	if at < 0 {
		t.Fatalf("docs/roles.yaml has no command %q", name)
	}
	return f.Commands[at]
}

// Need is a privilege on a path.
type Need struct {
	Path, Role string
	Privilege
}

// Needs lists the privileges of a command on a release, 8 or 9.
func (f File) Needs(t testing.TB, command string, release int) []Need {
	t.Helper()
	var list []Need
	for _, g := range f.Grants(t, command) {
		for _, p := range g.Privileges {
			if p.In(release) {
				list = append(list, Need{g.Path, g.Role, p})
			}
		}
	}
	return list
}

// Token is an API token that may do exactly what the commands need on a release, but for what except names, as the stand-in takes it.
func Token(id, secret string, needs []Need, except ...Need) (pve.Token, []pve.Role) {
	token := pve.Token{ID: id, Secret: secret, Roles: map[string]string{}}
	byPath := map[string][]string{}
	var paths []string
	for _, n := range needs {
		if slices.ContainsFunc(except, func(e Need) bool { return e.Path == n.Path && e.Name == n.Name }) || slices.Contains(byPath[n.Path], n.Name) {
			continue
		}
		if byPath[n.Path] == nil {
			paths = append(paths, n.Path)
		}
		byPath[n.Path] = append(byPath[n.Path], n.Name)
	}
	var made []pve.Role
	for i, path := range paths {
		name := fmt.Sprintf("Exactly%d", i)
		made = append(made, pve.Role{Name: name, Privileges: byPath[path]})
		token.Roles[path] = name
	}
	return token, made
}

// Roles are the privileges by role that pveum role add has to make for a release: what every grant of that role needs, together.
func (f File) Roles(release int) map[string][]string {
	all := map[string][]string{}
	for _, c := range f.Commands {
		for _, g := range c.Grants {
			if f.BuiltIn[g.Role] != nil {
				continue
			}
			for _, p := range g.Privileges {
				if p.In(release) && !slices.Contains(all[g.Role], p.Name) {
					all[g.Role] = append(all[g.Role], p.Name)
				}
			}
		}
	}
	return all
}
