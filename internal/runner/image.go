package runner

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Tags of the templates that Mayfly builds. They are of the form that Proxmox takes (pve-tag:
// [a-z0-9_][a-z0-9_\-+.]*), and every pass of the dispatcher sees them without reading a config.
const (
	// TagImage is on every template that Mayfly built.
	TagImage = "mayfly-image"
	// TagPromoted is on the templates that pools may follow. Of several of one image on a node, the newest counts.
	TagPromoted = "mayfly-promoted"
	// TagBuild is on a VM in which an image is being built.
	TagBuild = "mayfly-build"
)

const (
	imagePrefix = "mayfly-image:"
	buildPrefix = "mayfly-build:"
)

// ErrNoImage says that a description holds no image marker at all: Mayfly didn't build that template.
var ErrNoImage = errors.New("no Mayfly image marker")

// ErrNoBuild says that a description holds no build marker at all: no image is being built in that VM.
var ErrNoBuild = errors.New("no Mayfly build marker")

// MaxImageName keeps a template's name within 63 characters, as Proxmox takes a VM's name for a DNS name.
const MaxImageName = 63 - len("mayfly-") - len("-20060102-1504.999")

var imageForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// CheckImageName returns an error that tells the accepted form when name can't name an image, as in "debian-12".
func CheckImageName(name string) error {
	if len(name) > MaxImageName || !imageForm.MatchString(name) {
		return fmt.Errorf("image %q: want 1 to %d lower-case letters, digits and inner dashes, as in debian-12", name, MaxImageName)
	}
	return nil
}

// Image is the note in a template's description that says what Mayfly built it from. It holds no secret: Proxmox
// writes descriptions to its cluster log.
type Image struct {
	Installation string
	// Name is what pools call it by, as in "debian-12".
	Name string
	// Version is the time of the build, as [NewVersion] gives it.
	Version string
	// RunnerVersion is the release of GitHub's Actions runner in it, as in "2.330.0".
	RunnerVersion string
	// RunnerReleased is the day (UTC) on which GitHub published that release; zero when the builder wasn't told. GitHub
	// gives no jobs to a release that a newer one has replaced for 30 days.
	RunnerReleased time.Time
	Built          time.Time
	// Contract is the version of the run-once contract that the image keeps.
	Contract int
	// VMID is the template's own, so that a copied description is no marker.
	VMID int
}

// imageLine is how an [Image] is written.
type imageLine struct {
	Installation   string    `json:"installation"`
	Name           string    `json:"image"`
	Version        string    `json:"version"`
	RunnerVersion  string    `json:"runner_version"`
	RunnerReleased string    `json:"runner_released,omitempty"`
	Built          time.Time `json:"built"`
	Contract       int       `json:"contract"`
	VMID           int       `json:"vmid"`
}

// TemplateName is the name of the template that holds the image.
func (i Image) TemplateName() string { return TemplateName(i.Name, i.Version) }

// Check returns an error that tells what is wrong with an image that can't be one.
func (i Image) Check() error {
	switch {
	case CheckInstallation(i.Installation) != nil:
		return CheckInstallation(i.Installation)
	case CheckImageName(i.Name) != nil:
		return CheckImageName(i.Name)
	case CheckVersion(i.Version) != nil:
		return CheckVersion(i.Version)
	case !runnerVersionForm.MatchString(i.RunnerVersion):
		return fmt.Errorf("runner version %q: want one like 2.330.0", i.RunnerVersion)
	case !plausible(i.Built):
		return errors.New("no plausible time of the build")
	case i.Contract <= 0:
		return fmt.Errorf("contract %d: want 1 or more", i.Contract)
	case i.VMID <= 0:
		return fmt.Errorf("vmid %d is not a VMID", i.VMID)
	}
	return nil
}

var runnerVersionForm = regexp.MustCompile(`^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$`)

// Description renders the marker as the text of a template's notes: a line for people and a line for Mayfly. It is far
// below Proxmox's limit of 8192 characters.
func (i Image) Description() string {
	line := imageLine{
		Installation: i.Installation, Name: i.Name, Version: i.Version, RunnerVersion: i.RunnerVersion,
		Built: i.Built.UTC().Truncate(time.Second), Contract: i.Contract, VMID: i.VMID,
	}
	released := ""
	if !i.RunnerReleased.IsZero() {
		line.RunnerReleased = i.RunnerReleased.UTC().Format(time.DateOnly)
		released = " of " + line.RunnerReleased
	}
	return fmt.Sprintf("Runner image %s, version %s, with the Actions runner %s%s, built by Mayfly.\n\n%s",
		i.Name, i.Version, i.RunnerVersion, released, writeNote(imagePrefix, line))
}

// ParseImage reads the marker out of a template's description, whatever an administrator wrote around it. It returns
// [ErrNoImage] when there is none and another error when there is something that only looks like one.
func ParseImage(description string) (Image, error) {
	var line imageLine
	switch found, err := readNote(description, imagePrefix, &line); {
	case err != nil:
		return Image{}, fmt.Errorf("image marker: %w", err)
	case !found:
		return Image{}, ErrNoImage
	}
	i := Image{
		Installation: line.Installation, Name: line.Name, Version: line.Version, RunnerVersion: line.RunnerVersion,
		Built: line.Built.UTC(), Contract: line.Contract, VMID: line.VMID,
	}
	if line.RunnerReleased != "" {
		var err error
		if i.RunnerReleased, err = time.Parse(time.DateOnly, line.RunnerReleased); err != nil {
			return Image{}, fmt.Errorf("image marker: runner released %q: want a day like 2026-01-31", line.RunnerReleased)
		}
	}
	if err := i.Check(); err != nil {
		return Image{}, fmt.Errorf("image marker: %w", err)
	}
	return i, nil
}

// BuildMarker is the note in the description of a VM in which an image is being built, or checked, so that a build that
// was cut off can be swept. It is neither a runner's [Marker] nor an [Image].
type BuildMarker struct {
	Installation string    `json:"installation"`
	Image        string    `json:"image"`
	Version      string    `json:"version"`
	VMID         int       `json:"vmid"` // the VM's own, so that a copied description is no marker
	Created      time.Time `json:"created"`
}

// Check returns an error that tells what is wrong with a marker that can't be one.
func (m BuildMarker) Check() error {
	switch {
	case CheckInstallation(m.Installation) != nil:
		return CheckInstallation(m.Installation)
	case CheckImageName(m.Image) != nil:
		return CheckImageName(m.Image)
	case CheckVersion(m.Version) != nil:
		return CheckVersion(m.Version)
	case m.VMID <= 0:
		return fmt.Errorf("vmid %d is not a VMID", m.VMID)
	case !plausible(m.Created):
		return errors.New("no plausible creation time")
	}
	return nil
}

// Description renders the marker as the text of a VM's notes: a line for people and a line for Mayfly.
func (m BuildMarker) Description() string {
	m.Created = m.Created.UTC().Truncate(time.Second)
	return fmt.Sprintf("Runner image %s, version %s, being built by Mayfly, which destroys this VM when it is done.\n\n%s",
		m.Image, m.Version, writeNote(buildPrefix, m))
}

// ParseBuildMarker reads the marker out of a VM's description. It returns [ErrNoBuild] when there is none and another
// error when there is something that only looks like one.
func ParseBuildMarker(description string) (BuildMarker, error) {
	var m BuildMarker
	switch found, err := readNote(description, buildPrefix, &m); {
	case err != nil:
		return BuildMarker{}, fmt.Errorf("build marker: %w", err)
	case !found:
		return BuildMarker{}, ErrNoBuild
	}
	m.Created = m.Created.UTC()
	if err := m.Check(); err != nil {
		return BuildMarker{}, fmt.Errorf("build marker: %w", err)
	}
	return m, nil
}

// templateForm takes a template's name apart: a version is always the last two parts.
var templateForm = regexp.MustCompile(`^mayfly-(.+)-([0-9]{8}-[0-9]{4}(?:\.[0-9]+)?)$`)

// TemplateName is the name of the template that holds a version of an image: mayfly-debian-12-20260131-0405.
func TemplateName(image, version string) string {
	return strings.Join([]string{"mayfly", image, version}, "-")
}

// ParseTemplateName takes a name apart that [TemplateName] made; ok is false for any other name.
func ParseTemplateName(name string) (image, version string, ok bool) {
	m := templateForm.FindStringSubmatch(name)
	if len(m) != 3 || CheckImageName(m[1]) != nil || CheckVersion(m[2]) != nil {
		return "", "", false
	}
	return m[1], m[2], true
}
