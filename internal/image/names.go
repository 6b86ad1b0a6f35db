package image

import (
	"strings"

	"mayfly/internal/runner"
)

// Files on a storage are named mayfly-build.INSTALLATION.IMAGE.REST: whose they are shows in a list, and no part but the
// installation may hold a dot.
const (
	seedEnd     = ".seed.iso"
	downloadEnd = ".qcow2"
	buildFile   = "mayfly-build."
	keptFile    = "mayfly-kept."
)

// seedName is the seed's file for one VM: nodes may share the storage.
func (b *Builder) seedName(image, version, node string) string {
	return buildFile + b.spec.Installation + "." + image + "." + dashed(version) + "." + node + seedEnd
}

// downloadName is the vendor's image while a build needs it.
func (b *Builder) downloadName(image, version, node string) string {
	return buildFile + b.spec.Installation + "." + image + "." + dashed(version) + "." + node + downloadEnd
}

// keptName is the vendor's image that stays: its checksum is in its name, because Proxmox can't be asked for that later.
func (b *Builder) keptName(image string, sum Checksum) string {
	return keptFile + b.spec.Installation + "." + image + "." + sum.short() + downloadEnd
}

// dashed is a version without its dot.
func dashed(version string) string { return strings.ReplaceAll(version, ".", "_") }

// buildOf tells which version of which image, and on which node, a file was made for; ok is false for any file that isn't
// of a build of this installation.
func (b *Builder) buildOf(file string) (image, version, node string, ok bool) {
	rest, ours := strings.CutPrefix(file, buildFile+b.spec.Installation+".")
	if !ours {
		return "", "", "", false
	}
	base, ok := strings.CutSuffix(rest, seedEnd)
	if !ok {
		base, ok = strings.CutSuffix(rest, downloadEnd)
	}
	parts := strings.Split(base, ".")
	if !ok || len(parts) != 3 {
		return "", "", "", false
	}
	version = strings.ReplaceAll(parts[1], "_", ".")
	if runner.CheckImageName(parts[0]) != nil || runner.CheckVersion(version) != nil {
		return "", "", "", false
	}
	return parts[0], version, parts[2], true
}

// keptOf tells which image a file was kept for.
func (b *Builder) keptOf(file string) (image string, ok bool) {
	rest, ours := strings.CutPrefix(file, keptFile+b.spec.Installation+".")
	base, end := strings.CutSuffix(rest, downloadEnd)
	parts := strings.Split(base, ".")
	if !ours || !end || len(parts) != 2 || runner.CheckImageName(parts[0]) != nil {
		return "", false
	}
	return parts[0], true
}
