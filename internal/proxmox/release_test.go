package proxmox_test

import (
	"testing"

	"mayfly/internal/proxmox"
)

func TestReleasesOfEachForm(t *testing.T) {
	for version, want := range map[string]struct {
		release         proxmox.Release
		tooOld, unknown bool
	}{
		"9.2.11":  {proxmox.Release{Major: 9, Minor: 2}, false, false},
		"8.4~rc1": {proxmox.Release{Major: 8, Minor: 4}, false, false},
		"8.4":     {proxmox.Release{Major: 8, Minor: 4}, false, false},
		"8.3.5":   {proxmox.Release{Major: 8, Minor: 3}, true, false},
		"7.4-17":  {proxmox.Release{Major: 7, Minor: 4}, true, false},
		"10.0.1":  {proxmox.Release{Major: 10}, false, true},
	} {
		got, ok := proxmox.ParseRelease(version)
		if !ok || got != want.release || got.TooOld() != want.tooOld || got.Unknown() != want.unknown {
			t.Errorf("%s: %v %t, too old %t, unknown %t", version, got, ok, got.TooOld(), got.Unknown())
		}
	}
	for _, version := range []string{"", "9", "nine.two", "-9.2"} {
		if got, ok := proxmox.ParseRelease(version); ok {
			t.Errorf("%q: %v", version, got)
		}
	}
}
