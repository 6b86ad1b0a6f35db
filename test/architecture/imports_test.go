package architecture

import (
	"slices"
	"strings"
	"testing"
)

// mayImport says which of our packages each package's own files (not its tests) may import. Arrows point down only:
// cli → fleet → {demand, handoff, github, proxmox} → runner. A package that is not here fails the test: whoever adds
// one decides what it may know.
var mayImport = map[string][]string{
	"cmd/mayfly": {"internal/cli"},

	"internal/cli": {
		"internal/bootstrap", "internal/canary", "internal/check", "internal/cloudinit", "internal/config", "internal/demand", "internal/fleet", "internal/gc", "internal/github", "internal/handoff", "internal/image", "internal/lease", "internal/metrics",
		"internal/proxmox", "internal/record", "internal/runner", "internal/setup", "internal/sim/gh", "internal/sim/pve", "internal/sim/pve/qemu", "internal/sim/world", "internal/up", "internal/web", "runners",
	},
	"internal/config": {"internal/cloudinit", "internal/runner", "internal/schedule", "runners"},

	"internal/bootstrap": {"dispatcher", "internal/download", "internal/proxmox", "internal/runner"},
	"internal/check":     {"internal/bootstrap", "internal/canary", "internal/config", "internal/fleet", "internal/github", "internal/handoff", "internal/proxmox", "internal/runner"},
	"internal/up":        {"internal/fleet", "internal/github", "internal/proxmox", "internal/runner"},
	"internal/setup":     {"internal/check", "internal/config", "internal/github", "internal/image", "internal/proxmox", "internal/runner"},
	"internal/record":    {"internal/config", "internal/fleet", "internal/runner"},
	"internal/gc":        {"internal/fleet", "internal/github", "internal/handoff", "internal/proxmox", "internal/runner"},
	"internal/metrics":   {"internal/fleet", "internal/github", "internal/runner"},
	"internal/web":       {"internal/fleet", "internal/runner"},
	"internal/fleet":     {"internal/cloudinit", "internal/demand", "internal/github", "internal/handoff", "internal/proxmox", "internal/runner", "internal/schedule"},
	"internal/demand":    {"internal/github", "internal/runner"},
	"internal/canary":    {"internal/handoff", "internal/proxmox", "internal/runner"},
	"internal/image":     {"internal/canary", "internal/cloudinit", "internal/download", "internal/handoff", "internal/proxmox", "internal/runner"},
	"internal/handoff":   {"internal/cloudinit", "internal/proxmox", "internal/runner"},
	"internal/cloudinit": {"internal/runner"},
	"internal/download":  {},
	"internal/github":    {"internal/runner"},
	"internal/lease":     {"internal/proxmox"},
	"internal/proxmox":   {"internal/runner"},
	"internal/schedule":  {},
	"internal/runner":    {},

	// The stand-ins know the domain and each other, never the code that they are there to test.
	"internal/sim/wire":        {},
	"internal/sim/runnerproto": {"internal/runner"},
	"internal/sim/gh":          {"internal/runner", "internal/sim/runnerproto", "internal/sim/wire"},
	"internal/sim/pve":         {"internal/runner", "internal/sim/wire"},
	"internal/sim/pve/qemu":    {"internal/runner", "internal/sim/pve"},
	"internal/sim/listener":    {"internal/sim/runnerproto"},
	"internal/sim/world":       {"internal/runner", "internal/sim/gh", "internal/sim/pve", "internal/sim/runnerproto"},

	// Makes manual pages and completions from the commands, and what else a release needs.
	"scripts/release": {"internal/cli"},

	// Files that are shipped inside the binary.
	"dispatcher":     {},
	"runners":        {},
	"runners/common": {}, // shell, and the Go tests that run it
}

// pureRunner are standard packages that the domain must do without: it does no I/O and reads no clock of its own.
var pureRunner = []string{"net", "net/http", "os", "os/exec", "io/fs", "syscall", "log"}

func TestPackagesImportOnlyWhatLiesBelowThem(t *testing.T) {
	checked := 0
	for _, p := range goPackages(t) {
		if p.underTest() {
			continue
		}
		allowed, known := mayImport[p.dir]
		if !known {
			t.Errorf("%s is not in mayImport: add it with what it may import", p.dir)
			continue
		}
		for _, f := range p.files {
			if f.test {
				continue
			}
			checked++
			for _, path := range f.imports {
				dir, ours := strings.CutPrefix(path, "mayfly/")
				if ours && !slices.Contains(allowed, dir) {
					t.Errorf("%s imports %s; %s may import %s", f.path, path, p.dir, orNothing(allowed))
				}
			}
		}
	}
	if checked == 0 {
		t.Fatal("no Go files found: the test looks in the wrong place")
	}
}

func TestTheDomainDoesNoIO(t *testing.T) {
	for _, p := range goPackages(t) {
		if p.dir != "internal/runner" {
			continue
		}
		for _, f := range p.files {
			for _, path := range f.imports {
				if !f.test && slices.Contains(pureRunner, path) {
					t.Errorf("%s imports %s; the domain does no I/O", f.path, path)
				}
			}
		}
	}
}

// TestOnlyTheCommandAndTestsKnowTheStandIns says the most important line of mayImport once more, for test packages
// too: a fleet that could see its stand-in could be written to please it.
func TestOnlyTheCommandAndTestsKnowTheStandIns(t *testing.T) {
	for dir, allowed := range mayImport {
		if dir == "internal/cli" || strings.HasPrefix(dir, "internal/sim") {
			continue
		}
		for _, path := range allowed {
			if strings.HasPrefix(path, "internal/sim") {
				t.Errorf("mayImport lets %s import %s", dir, path)
			}
		}
	}
}

// TestArrowsPointDown finds a circle in the table itself, which the compiler would only find once it is used.
func TestArrowsPointDown(t *testing.T) {
	state := map[string]int{} // 1: on the way, 2: done
	var visit func(dir string, way []string)
	visit = func(dir string, way []string) {
		switch state[dir] {
		case 1:
			t.Errorf("a circle: %s", strings.Join(append(way, dir), " → "))
			return
		case 2:
			return
		}
		state[dir] = 1
		for _, next := range mayImport[dir] {
			visit(next, append(slices.Clone(way), dir))
		}
		state[dir] = 2
	}
	for dir := range mayImport {
		visit(dir, nil)
	}
}

func orNothing(dirs []string) string {
	if len(dirs) == 0 {
		return "nothing of ours"
	}
	return strings.Join(dirs, ", ")
}
