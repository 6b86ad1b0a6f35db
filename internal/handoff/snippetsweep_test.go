package handoff_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// put makes a file that is some time old.
func put(t *testing.T, dir, name string, age time.Duration) {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, []byte("x"), 0o600))
	at := time.Now().Add(-age)
	must(t, os.Chtimes(path, at, at))
}

func TestSweepRemovesWhatACrashLeftAndNothingElse(t *testing.T) {
	s, dir := newSnippet(t)
	const old = time.Hour
	gone := map[string]time.Duration{
		"mayfly-lab_ep-00000000aa.yaml":            old,
		"mayfly-lab_a-b-c-00000000bb.yaml":         old,
		"mayfly-lab_ep-00000000cc.yaml":            -old, // a clock that is off
		".mayfly-lab_ep-00000000dd.yaml.12345.tmp": old,
		".mayfly-lab_ep-0123456789.yaml.12345.tmp": old, // of a runner that lives; its file is another
		".mayfly-lab_probe.yaml.12345.tmp":         old,
	}
	stays := map[string]time.Duration{
		"mayfly-lab_ep-0123456789.yaml":            old, // lives
		"mayfly-lab_ep-00000000ee.yaml":            0,   // young
		".mayfly-lab_ep-00000000ff.yaml.12345.tmp": 0,   // being written
		"mayfly-lab-b_ep-00000000aa.yaml":          old, // other installations
		"mayfly-lab_b_ep-00000000aa.yaml":          old,
		"mayfly-la_ep-00000000aa.yaml":             old,
		"mayfly-xlab_ep-00000000aa.yaml":           old,
		".mayfly-other_ep-00000000aa.yaml.1.tmp":   old,
		"mayfly-lab_probe.yaml":                    old, // not names of runners
		"mayfly-lab_ep.yaml":                       old,
		"mayfly-lab_ep-00000000AA.yaml":            old,
		"mayfly-lab_ep-00000000aa.yml":             old,
		"mayfly-lab_ep-00000000aa.yaml.bak":        old,
		"ubuntu.yaml":                              old,
	}
	for _, files := range []map[string]time.Duration{gone, stays} {
		for name, age := range files {
			put(t, dir, name, age)
		}
	}
	mkdir(t, filepath.Join(dir, "mayfly-lab_ep-00000000ab.yaml"))
	must(t, os.Symlink("ubuntu.yaml", filepath.Join(dir, "mayfly-lab_ep-00000000ac.yaml")))

	var asked []string
	removed, err := s.Sweep(t.Context(), func(name string) bool {
		asked = append(asked, name)
		return name == snippetRunner
	}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{}
	for name := range gone {
		want = append(want, name)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, removed); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	left := []string{"mayfly-lab_ep-00000000ab.yaml", "mayfly-lab_ep-00000000ac.yaml"}
	for name := range stays {
		left = append(left, name)
	}
	slices.Sort(left)
	if diff := cmp.Diff(left, names(t, dir)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	// However young: what is no file of ours stays even so.
	if _, err := s.Sweep(t.Context(), func(string) bool { return false }, 0); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mayfly-lab_ep-00000000ab.yaml", "mayfly-lab_ep-00000000ac.yaml", "mayfly-lab_b_ep-00000000aa.yaml"} {
		if !slices.Contains(names(t, dir), name) {
			t.Errorf("%s is gone", name)
		}
	}
	if !slices.Contains(asked, snippetRunner) {
		t.Errorf("asked for %v", asked)
	}
}

func TestSweepOfAFileThatWasJustWrittenDependsOnKeepAlone(t *testing.T) {
	s, dir := newSnippet(t)
	if _, err := s.Prepare(t.Context(), snippetGuest(), snippetIdentity()); err != nil {
		t.Fatal(err)
	}
	for _, keep := range []bool{true, false} {
		removed, err := s.Sweep(t.Context(), func(string) bool { return keep }, 0)
		if err != nil || (len(removed) == 0) != keep || (len(names(t, dir)) == 1) != keep {
			t.Errorf("keep %v: removed %v, %v", keep, removed, err)
		}
	}
}

func TestSweepOfAFolderThatIsGoneSaysSo(t *testing.T) {
	s := snippetIn(t, filepath.Join(t.TempDir(), "none"), "lab")
	if _, err := s.Sweep(t.Context(), func(string) bool { return false }, 0); err == nil || !strings.Contains(err.Error(), "sweep SNIPPETS_DIR") {
		t.Error(err)
	}
}

// TestInstallationsThatShareAStorageNeverMeet: whatever two installations and their runners are called, a file has one
// owner.
func TestInstallationsThatShareAStorageNeverMeet(t *testing.T) {
	dir := t.TempDir()
	form := rapid.StringMatching(`[a-z0-9_][a-z0-9_.-]{0,8}`)
	rapid.Check(t, func(r *rapid.T) {
		ours := form.Draw(r, "ours")
		theirs := rapid.OneOf(form, rapid.Map(rapid.SampledFrom([]string{"_ep", "-ep", ".ep", "_", "-"}), func(s string) string { return ours + s })).
			Filter(func(s string) bool { return s != ours }).Draw(r, "theirs")
		mine, other := snippetIn(t, dir, ours), snippetIn(t, dir, theirs)
		id := snippetIdentity()
		id.Name = rapid.StringMatching(`[A-Za-z0-9](-?[A-Za-z0-9]){0,6}-[0-9a-f]{10}`).Draw(r, "name")
		if _, err := mine.Prepare(t.Context(), snippetGuest(), id); err != nil {
			r.Fatal(err)
		}
		none := func(string) bool { return false }
		if removed, err := other.Sweep(t.Context(), none, 0); err != nil || len(removed) > 0 {
			r.Fatalf("%s swept %v of %s: %v", theirs, removed, ours, err)
		}
		if err := other.Clear(t.Context(), id.Name); err != nil {
			r.Fatal(err)
		}
		if removed, err := mine.Sweep(t.Context(), none, 0); err != nil || len(removed) != 1 {
			r.Fatalf("%s swept %v of its own: %v", ours, removed, err)
		}
	})
}
