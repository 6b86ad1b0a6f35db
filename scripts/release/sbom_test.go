package main

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestSBOMListsWhatIsLinkedIn takes the test's own binary, which Go built, too.
func TestSBOMListsWhatIsLinkedIn(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	one, two := filepath.Join(t.TempDir(), "one"), filepath.Join(t.TempDir(), "two")
	for _, out := range []string{one, two} {
		if err := writeSBOM(self, "1.2.3", out, at); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(two); err != nil || !bytes.Equal(text, again) {
		t.Errorf("two runs differ: %v", err)
	}
	b := parse[bom](t, text)
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(b.SerialNumber) {
		t.Errorf("serial number %s", b.SerialNumber)
	}
	if b.Metadata.Timestamp != "2026-03-04T05:06:07Z" || b.Metadata.Component.Version != "1.2.3" {
		t.Errorf("metadata %+v", b.Metadata)
	}
	listed := map[string]bool{}
	for _, c := range b.Components {
		if listed[c.Ref] {
			t.Errorf("%s is listed twice", c.Ref)
		}
		listed[c.Ref] = true
	}
	for _, m := range info.Deps {
		if !listed["pkg:golang/"+m.Path+"@"+m.Version] {
			t.Errorf("%s %s is linked in and not listed", m.Path, m.Version)
		}
	}
	if want := 1 + len(info.Deps); len(b.Components) != want || len(b.Dependencies[0].DependsOn) != want {
		t.Errorf("%d components, %d dependencies; want the standard library and %d modules", len(b.Components), len(b.Dependencies[0].DependsOn), len(info.Deps))
	}
}

func TestReleaseRefusesToTakeTheMachinesTime(t *testing.T) {
	if err := release([]string{"docs", t.TempDir()}, ""); err == nil {
		t.Error("a release without SOURCE_DATE_EPOCH would differ each time")
	}
}
