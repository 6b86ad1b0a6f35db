package image

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOnlyFilesOfThisInstallationsBuildsAreOurs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		installation := rapid.StringMatching(`[a-z0-9_][a-z0-9_.-]{0,20}`)
		mine, other := &Builder{}, &Builder{}
		mine.spec.Installation, other.spec.Installation = installation.Draw(t, "mine"), installation.Draw(t, "other")
		image := rapid.SampledFrom([]string{"debian-12", "a", "ubuntu-2404"}).Draw(t, "image")
		version := rapid.SampledFrom([]string{"20261125-1200", "20261125-1200.17"}).Draw(t, "version")
		for _, name := range []string{mine.seedName(image, version, "pve1"), mine.downloadName(image, version, "pve1")} {
			gotImage, gotVersion, node, ok := mine.buildOf(name)
			if !ok || gotImage != image || gotVersion != version || node != "pve1" {
				t.Fatalf("%s is of %q %q %q, %v", name, gotImage, gotVersion, node, ok)
			}
			if _, _, _, ok := other.buildOf(name); ok && other.spec.Installation != mine.spec.Installation {
				t.Fatalf("%s of %q is taken by %q", name, mine.spec.Installation, other.spec.Installation)
			}
			if strings.ContainsAny(name, "/: ") {
				t.Fatalf("%q is no name for a file", name)
			}
			if _, ok := mine.keptOf(name); ok {
				t.Fatalf("%s is taken for a kept one", name)
			}
		}
		kept := mine.keptName(image, Checksum{"sha256", strings.Repeat("0f", 32)})
		if got, ok := mine.keptOf(kept); !ok || got != image {
			t.Fatalf("%s is kept for %q, %v", kept, got, ok)
		}
		if _, _, _, ok := mine.buildOf(kept); ok {
			t.Fatalf("%s is taken for a build's", kept)
		}
	})
}

func TestSettingsSurviveTheShell(t *testing.T) {
	got := environment(map[string]string{"B": "it's $HOME", "A": "x", "C": ""})
	if want := "A='x'\nB='it'\\''s $HOME'\n"; got != want {
		t.Errorf("%q", got)
	}
}
