package config

import (
	"testing"

	"pgregory.net/rapid"

	"mayfly/internal/runner"
)

// TestFormsAgreeWithTheDomain draws texts around the edges of the forms that package runner checks, too.
func TestFormsAgreeWithTheDomain(t *testing.T) {
	for name, check := range map[string]func(string) error{
		"installation": runner.CheckInstallation,
		"prefix":       runner.CheckPrefix,
		"image":        runner.CheckImageName,
	} {
		f, _ := formOf(name)
		rapid.Check(t, func(t *rapid.T) {
			s := rapid.StringMatching(`[-_.A-Za-z0-9 ]{0,5}[a-z0-9-]{0,60}[-_.a-zä]{0,3}`).Draw(t, "text")
			if err := check(s); (err == nil) != f.matches(s) {
				t.Fatalf("%s %q: the domain says %v, the form %v", name, s, err, f.matches(s))
			}
		})
	}
}

func TestNearestFindsWhatWasMeant(t *testing.T) {
	known := []string{"labels", "max", "template", "node", "PROXMOX_URL", "RUNNER_ID_START"}
	for word, want := range map[string]string{
		"lables": "labels", "label": "labels", "templat": "template", "nodes": "node", "mx": "max", "PROXMOX_URI": "PROXMOX_URL",
		"RUNNER_ID_STRT": "RUNNER_ID_START", "colour": "", "": "", "x": "", "PATH": "",
	} {
		if got, _ := nearest(word, known); got != want {
			t.Errorf("nearest to %q: %q, want %q", word, got, want)
		}
	}
}

func TestEditDistanceIsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-d]{1,8}`)
		a, b, c := word.Draw(t, "a"), word.Draw(t, "b"), word.Draw(t, "c")
		ab := editDistance(a, b)
		if ab != editDistance(b, a) {
			t.Fatalf("%q and %q: not the same both ways", a, b)
		}
		if (ab == 0) != (a == b) {
			t.Fatalf("%q and %q: distance %d", a, b, ab)
		}
		if longer := max(len(a), len(b)); ab > longer {
			t.Fatalf("%q and %q: distance %d above %d", a, b, ab, longer)
		}
		if d := editDistance(a+c, b+c); d > ab {
			t.Fatalf("a common end makes the distance of %q and %q greater: %d > %d", a, b, d, ab)
		}
	})
}

func TestDurationsAndSizesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Range(1, 500_000).Draw(t, "milliseconds") * 1e6)
		if got, ok := parseDuration(d.String()); !ok || got != d {
			t.Fatalf("duration %s comes back as %s", d, got)
		}
		s := Size(rapid.Int64Range(16, 4096*1024).Draw(t, "MiB") << 20)
		if got, ok := parseSize(s.String()); !ok || got != s {
			t.Fatalf("size %s comes back as %s", s, got)
		}
	})
	for _, bad := range []string{"", "-1", "5 m", "5d", "1e9", "5m-1s", "99999999999999999999"} {
		if d, ok := parseDuration(bad); ok {
			t.Errorf("duration %q is read as %s", bad, d)
		}
	}
	for _, bad := range []string{"", "8", "8G", "8GB", "0GiB", "-8GiB", "8.5GiB", "99999999GiB"} {
		if s, ok := parseSize(bad); ok {
			t.Errorf("size %q is read as %s", bad, s)
		}
	}
}
