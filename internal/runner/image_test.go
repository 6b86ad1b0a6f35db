package runner_test

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"mayfly/internal/runner"
)

// someImage draws an image that a build could have made.
func someImage(t *rapid.T) runner.Image {
	i := runner.Image{
		Installation:  rapid.StringMatching(`[a-z0-9_][a-z0-9_.-]{0,20}`).Draw(t, "installation"),
		Name:          rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?`).Draw(t, "image"),
		Version:       someVersion(t, "version"),
		RunnerVersion: rapid.StringMatching(`[0-9]{1,3}\.[0-9]{1,4}\.[0-9]{1,3}`).Draw(t, "runner version"),
		Built:         someTime(t, "built"),
		Contract:      rapid.IntRange(1, 9).Draw(t, "contract"),
		VMID:          rapid.IntRange(100, 999999999).Draw(t, "vmid"),
	}
	if rapid.Bool().Draw(t, "released known") {
		i.RunnerReleased = someTime(t, "released").Truncate(24 * time.Hour)
	}
	return i
}

func someTime(t *rapid.T, what string) time.Time {
	return time.Unix(rapid.Int64Range(946684800, 4102444800).Draw(t, what), 0).UTC()
}

func someVersion(t *rapid.T, what string) string {
	return runner.NewVersion(someTime(t, what), rapid.IntRange(0, 999).Draw(t, what+" number"))
}

// aroundNote draws what an administrator, or Proxmox, may have put around a marker's description.
func aroundNote(t *rapid.T) (before, after string) {
	text := rapid.SliceOf(rapid.SampledFrom([]string{"\n", "\r\n", " ", "# Notes", "keep me", "<b>é</b>", `{"a":1}`, "mayfly"}))
	return strings.Join(text.Draw(t, "before"), "") + "\n", "\n" + strings.Join(text.Draw(t, "after"), "")
}

func TestImageComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := someImage(t)
		before, after := aroundNote(t)
		text := i.Description()
		if len(text) > 8192 || strings.HasPrefix(text, "mayfly-image:") {
			t.Fatalf("description of %d bytes that begins with no line for people: %q", len(text), text)
		}
		for _, form := range []string{text, before + text + after, strings.ReplaceAll(text, "\n", "\r\n"), strings.TrimSpace(text)} {
			got, err := runner.ParseImage(form)
			if err != nil {
				t.Fatalf("parse %q: %v", form, err)
			}
			if diff := gocmp.Diff(i, got); diff != "" {
				t.Fatalf("image (-want +got):\n%s", diff)
			}
			if _, err := runner.ParseMarker(form); !errors.Is(err, runner.ErrNoMarker) {
				t.Fatalf("a template's notes read as a runner's: %v", err)
			}
			if _, err := runner.ParseBuildMarker(form); !errors.Is(err, runner.ErrNoBuild) {
				t.Fatalf("a template's notes read as a build's: %v", err)
			}
		}
		if _, err := runner.ParseImage(text + text); err == nil || errors.Is(err, runner.ErrNoImage) {
			t.Fatalf("two markers in one description: %v", err)
		}
	})
}

func TestBuildMarkerComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i := someImage(t)
		m := runner.BuildMarker{Installation: i.Installation, Image: i.Name, Version: i.Version, VMID: i.VMID, Created: i.Built}
		before, after := aroundNote(t)
		text := before + m.Description() + after
		got, err := runner.ParseBuildMarker(text)
		if err != nil {
			t.Fatalf("parse %q: %v", text, err)
		}
		if diff := gocmp.Diff(m, got); diff != "" {
			t.Fatalf("build marker (-want +got):\n%s", diff)
		}
		if _, err := runner.ParseMarker(text); !errors.Is(err, runner.ErrNoMarker) {
			t.Fatalf("a build's notes read as a runner's: %v", err)
		}
		if _, err := runner.ParseImage(text); !errors.Is(err, runner.ErrNoImage) {
			t.Fatalf("a build's notes read as a template's: %v", err)
		}
	})
}

// goodImage is the JSON of an image that parses; each bad one differs from it in one thing.
const goodImage = `{"installation":"a","image":"debian-12","version":"20260131-0405","runner_version":"2.330.0","runner_released":"2026-01-20","built":"2026-01-31T04:05:00Z","contract":2,"vmid":9000}`

func TestNoImageIsNotABadImage(t *testing.T) {
	if _, err := runner.ParseImage("just a note"); !errors.Is(err, runner.ErrNoImage) {
		t.Errorf("error %v, want ErrNoImage", err)
	}
	if _, err := runner.ParseImage("mayfly-image:" + goodImage); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for _, change := range [][2]string{
		{goodImage, ""},
		{goodImage, "{}"},
		{goodImage, "nonsense"},
		{goodImage, goodImage + " promoted"},
		{`"a"`, `"A B"`},
		{`"debian-12"`, `"Debian 12"`},
		{`"debian-12"`, `"` + strings.Repeat("d", runner.MaxImageName+1) + `"`},
		{`20260131-0405`, `20261331-0405`},
		{`20260131-0405`, `2026-01-31`},
		{`2.330.0`, `latest`},
		{`2026-01-20`, `20 January`},
		{`2026-01-31T04:05:00Z`, `0001-01-01T00:00:00Z`},
		{`2026-01-31T04:05:00Z`, `9999-12-31T23:59:59-23:00`},
		{`"contract":2`, `"contract":0`},
		{`"contract":2`, `"contract":"2"`},
		{`"vmid":9000`, `"vmid":0`},
	} {
		bad := "mayfly-image:" + strings.Replace(goodImage, change[0], change[1], 1)
		if i, err := runner.ParseImage(bad); err == nil || errors.Is(err, runner.ErrNoImage) {
			t.Errorf("parse %q: %+v, %v, want an error that isn't ErrNoImage", bad, i, err)
		}
	}
}

func TestNoBuildIsNotABadBuild(t *testing.T) {
	if _, err := runner.ParseBuildMarker("just a note"); !errors.Is(err, runner.ErrNoBuild) {
		t.Errorf("error %v, want ErrNoBuild", err)
	}
	const good = `{"installation":"a","image":"debian-12","version":"20260131-0405","vmid":9000,"created":"2026-01-31T04:05:00Z"}`
	if _, err := runner.ParseBuildMarker("mayfly-build:" + good); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for _, change := range [][2]string{
		{good, "{}"},
		{`"a"`, `""`},
		{`"debian-12"`, `"-"`},
		{`20260131-0405`, ``},
		{`9000`, `-1`},
		{`2026-01-31T04:05:00Z`, `0001-01-01T00:00:00Z`},
	} {
		bad := "mayfly-build:" + strings.Replace(good, change[0], change[1], 1)
		if m, err := runner.ParseBuildMarker(bad); err == nil || errors.Is(err, runner.ErrNoBuild) {
			t.Errorf("parse %q: %+v, %v, want an error that isn't ErrNoBuild", bad, m, err)
		}
	}
}

func TestTemplateNamesComeApart(t *testing.T) {
	// Proxmox's format dns-name: labels of at most 63 characters, dots between them.
	dnsName := regexp.MustCompile(`^([a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?\.)*[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`)
	rapid.Check(t, func(t *rapid.T) {
		image := rapid.OneOf(
			rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,35}[a-z0-9])?`),
			rapid.Just("x-20260101-1200"), // a name that looks like a version
		).Draw(t, "image")
		if err := runner.CheckImageName(image); err != nil {
			t.Fatal(err)
		}
		version := someVersion(t, "version")
		name := runner.TemplateName(image, version)
		if len(name) > 63 || !dnsName.MatchString(name) {
			t.Fatalf("%q is no name for a VM", name)
		}
		gotImage, gotVersion, ok := runner.ParseTemplateName(name)
		if !ok || gotImage != image || gotVersion != version {
			t.Fatalf("%q comes apart as %q, %q, %v", name, gotImage, gotVersion, ok)
		}
	})
	for _, other := range []string{
		"", "mayfly", "mayfly-debian-12", "ubuntu-2204-runner", "mayfly--20260101-1200", "mayfly-debian-12-20261301-1200",
		"mayfly-debian-12-20260101-1200.0", "mayfly-debian-12-20260101-1200.01", "xmayfly-debian-12-20260101-1200", "mayfly-debian-12-20260101-1200 ",
	} {
		if image, version, ok := runner.ParseTemplateName(other); ok {
			t.Errorf("%q comes apart as %q, %q, want nothing", other, image, version)
		}
	}
}

func TestNewerVersionsCompareHigher(t *testing.T) {
	order := []string{"", "latest", "20251231-2359", "20260101-0000", "20260101-0000.2", "20260101-0000.10", "20260101-0001"}
	for i, a := range order {
		for j, b := range order {
			if got := runner.CompareVersions(a, b); cmp.Compare(got, 0) != cmp.Compare(i, j) {
				t.Errorf("compare %q with %q: %d, want the sign of %d", a, b, got, cmp.Compare(i, j))
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		versions := rapid.SliceOf(rapid.Custom(func(t *rapid.T) string { return someVersion(t, "version") })).Draw(t, "versions")
		slices.SortFunc(versions, runner.CompareVersions)
		for i := 1; i < len(versions); i++ {
			if versions[i-1][:13] > versions[i][:13] {
				t.Fatalf("sorted: %q", versions)
			}
		}
	})
}

func FuzzParseImage(f *testing.F) {
	f.Add("mayfly-image:" + goodImage)
	f.Add("mayfly-image:{}")
	f.Fuzz(func(t *testing.T, text string) {
		i, err := runner.ParseImage(text)
		if err != nil {
			return
		}
		again, err := runner.ParseImage(i.Description())
		i.Built = i.Built.Truncate(time.Second)
		if diff := gocmp.Diff(i, again); err != nil || diff != "" {
			t.Errorf("image does not come back: %v (-want +got):\n%s", err, diff)
		}
	})
}

func FuzzParseBuildMarker(f *testing.F) {
	f.Add(runner.BuildMarker{Installation: "a", Image: "debian-12", Version: "20260131-0405", VMID: 9000, Created: time.Unix(1700000000, 0)}.Description())
	f.Add("mayfly-build:{}")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := runner.ParseBuildMarker(text)
		if err != nil {
			return
		}
		again, err := runner.ParseBuildMarker(m.Description())
		m.Created = m.Created.Truncate(time.Second)
		if diff := gocmp.Diff(m, again); err != nil || diff != "" {
			t.Errorf("build marker does not come back: %v (-want +got):\n%s", err, diff)
		}
	})
}
