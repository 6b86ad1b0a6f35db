package privileges

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mayfly/internal/check"
	"mayfly/internal/fleet"
	"mayfly/test/roles"
)

// scene is a command of docs/roles.yaml in one of the ways that it is used.
type scene struct {
	name, command string
	act           act
	// uses are the words of a "lack" in the file that say that this way doesn't work then.
	uses     []string
	features []check.Feature
	env      []string
}

func scenes() []scene {
	sized := []string{"a pool that sets cores", "a pool that sets memory", "a pool that sets disk"}
	template := []string{"CT_TEMPLATE_URL=https://appliances.example/debian-12.tar.zst"}
	return []scene{
		{"run, hand-off agent", "run", run(fleet.WayAgent, true), append(sized, "hand-off agent doesn't work"), []check.Feature{check.Run}, nil},
		{"run, hand-off snippet", "run", run(fleet.WaySnippet, false), []string{"hand-off snippet doesn't work"}, []check.Feature{check.Run}, nil},
		{"run, hand-off iso", "run with hand-off iso", run(fleet.WayISO, false), []string{"hand-off iso doesn't work"}, []check.Feature{check.Run}, []string{"RUNNER_HANDOFF=iso"}},
		{"run, with a lease", "run with lease", inTurn, []string{"hand-off agent doesn't work"}, []check.Feature{check.Run}, []string{"LEASE_ENABLED=true"}},
		{"image build", "build", build, nil, []check.Feature{check.Build}, nil},
		{"bootstrap", "bootstrap", bootstrapRun, nil, []check.Feature{check.Bootstrap}, template},
		{"bootstrap, its calls", "bootstrap", bootstrapCalls, nil, []check.Feature{check.Bootstrap}, template},
	}
}

// fatal reports whether the file says that the command doesn't work this way without the privilege.
func (s scene) fatal(n roles.Need) bool {
	return n.Lack == "" || slices.ContainsFunc(s.uses, func(words string) bool { return strings.Contains(n.Lack, words) })
}

func TestCommandsWorkWithExactlyTheDocumentedPrivileges(t *testing.T) {
	for _, s := range scenes() {
		for release := range versions {
			t.Run(fmt.Sprintf("%s on %d", s.name, release), func(t *testing.T) {
				t.Parallel()
				needs := roles.Read(t).Needs(t, s.command, release)
				synctest.Test(t, func(t *testing.T) {
					if got := s.act(t, release, needs, nil); !got.worked {
						t.Errorf("with all of %d privileges it doesn't work; refused %q; said:\n%s", len(needs), got.refusals, got.said)
					}
				})
				synctest.Test(t, func(t *testing.T) {
					for _, f := range looked(t, release, needs, nil, s.features, s.env...) {
						if f.Level != check.Unseen {
							t.Errorf("check finds %+v", f)
						}
					}
				})
				synctest.Test(t, func(t *testing.T) {
					more := slices.Concat(needs, roles.Read(t).Needs(t, "check", release))
					for _, f := range looked(t, release, more, nil, s.features, s.env...) {
						t.Errorf("with what it needs itself, check finds %+v", f)
					}
				})
			})
		}
	}
}

// TestEachPrivilegeTakenAwayIsNamed takes away one after the other.
func TestEachPrivilegeTakenAwayIsNamed(t *testing.T) {
	for _, s := range scenes() {
		for release := range versions {
			t.Run(fmt.Sprintf("%s on %d", s.name, release), func(t *testing.T) {
				t.Parallel()
				needs := roles.Read(t).Needs(t, s.command, release)
				if len(needs) < 12 {
					t.Fatalf("%d privileges, want 12 at least", len(needs))
				}
				var table strings.Builder
				for _, n := range needs {
					var wrong []string
					synctest.Test(t, func(t *testing.T) { wrong = s.without(t, release, needs, n, &table) })
					for _, w := range wrong {
						t.Errorf("without %s on %s: %s", n.Name, n.Path, w)
					}
				}
				t.Logf("%s on Proxmox VE %d\n%s", s.name, release, table.String())
			})
		}
	}
}

// without takes one away, adds a row to the table, and tells what isn't as the file says.
func (s scene) without(t *testing.T, release int, needs []roles.Need, n roles.Need, table *strings.Builder) (wrong []string) {
	got := s.act(t, release, needs, []roles.Need{n})
	found := looked(t, release, needs, []roles.Need{n}, s.features, s.env...)
	refused := slices.DeleteFunc(slices.Clone(got.refusals), func(words string) bool {
		return !strings.Contains(words, n.Name) && !strings.HasSuffix(words, "Permission check failed")
	})
	fmt.Fprintf(table, "%-30s %-26s works: %-4s error: %-20s check names it: %s\n", n.Path, n.Name, yes(got.worked), errorOf(len(refused) > 0, got.names(n)), yes(tells(found, n)))
	if s.fatal(n) == got.worked {
		wrong = append(wrong, fmt.Sprintf("the file says %q; it works: %v; refused %q; said\n%s", n.Lack, got.worked, refused, got.said))
	}
	if !tells(found, n) {
		wrong = append(wrong, fmt.Sprintf("check finds %+v", found))
	}
	if len(refused) > 0 && !got.names(n) {
		wrong = append(wrong, fmt.Sprintf("refused %q; said\n%s", refused, got.said))
	}
	return wrong
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// errorOf is the table's word on errors.
func errorOf(refused, named bool) string {
	switch {
	case named:
		return "names it"
	case !refused:
		return "nothing is refused"
	}
	return "DOESN'T NAME IT"
}
