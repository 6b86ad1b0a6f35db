package image

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mayfly/internal/cloudinit"
	"mayfly/internal/proxmox"
)

// buildScript runs the provisioning scripts in the guest.
//
//go:embed build.sh
var buildScript []byte

// commonDir is where the scripts are, in Options.Scripts and on the seed.
const commonDir = "common"

// userData makes cloud-init run the script from the seed. Naming root, whom nobody may log in as, is how cloud-init is kept
// from making the vendor's own user, who would stay in every runner: an empty list is refused by its schema.
const userData = `#cloud-config
# Mayfly builds a runner image in this VM.
users:
  - {name: root, lock_passwd: true}
ssh_pwauth: false
package_update: false
package_upgrade: false
runcmd:
  - [sh, -c, 'mkdir -p "$0" && mount -o ro LABEL=` + cloudinit.SeedLabel + ` "$0" && sh "$0/build.sh" "$0" || poweroff', /run/mayfly-seed]
`

// bringSeed uploads a cloud-init image with the scripts and their settings.
func (p *part) bringSeed(ctx context.Context) error {
	name := p.b.seedName(p.request.Image, p.version, p.node)
	p.tell.stage(StageSeed, name)
	p.seed = p.b.spec.FilesStorage + ":iso/" + name
	image, err := p.iso()
	if err != nil {
		return err
	}
	return p.b.send(ctx, p.node, proxmox.Upload{
		Storage: p.b.spec.FilesStorage, Content: "iso", Name: name, Body: bytes.NewReader(image), Size: int64(len(image)),
	})
}

// iso makes the seed.
func (p *part) iso() ([]byte, error) {
	files := map[string][]byte{"build.sh": buildScript}
	err := fs.WalkDir(p.b.scripts, commonDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files[path], err = fs.ReadFile(p.b.scripts, path)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the scripts inside this program: %w", err)
	}
	files[commonDir+"/provision.env"] = []byte(environment(p.settings()))
	seed := cloudinit.Seed{
		MetaData: fmt.Sprintf("instance-id: mayfly-build-%s-%s\nlocal-hostname: mayfly-build\n", p.request.Image, dashed(p.version)),
		UserData: userData, Files: files,
	}
	return seed.ISO()
}

// settings are what provision.sh reads.
func (p *part) settings() map[string]string {
	c, r := p.b.spec.Contents, p.request.Release
	s := map[string]string{
		"IMAGE_NAME": p.request.Image, "IMAGE_VERSION": p.version, "RUNNER_VERSION": r.Version, "RUNNER_SHA256": r.SHA256, "RUNNER_URL": r.URL,
		"EXTRA_PACKAGES": strings.Join(c.Packages, " "), "INSTALL_DOCKER": strconv.FormatBool(c.Docker), "APT_PROXY": c.APTProxy,
		"http_proxy": c.HTTPProxy, "https_proxy": c.HTTPProxy, "no_proxy": strings.Join(c.NoProxy, ","),
		"SKIP_PACKAGES": strconv.FormatBool(c.PackagesInstalled),
	}
	if !r.Released.IsZero() {
		s["RUNNER_RELEASED"] = r.Released.UTC().Format("2006-01-02")
	}
	return s
}

// environment writes settings as a file that a shell reads; those without a value are left out.
func environment(settings map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if v := settings[name]; v != "" {
			fmt.Fprintf(&b, "%s='%s'\n", name, strings.ReplaceAll(v, "'", `'\''`))
		}
	}
	return b.String()
}

// dropSeed takes the seed's drive out of the VM and deletes the seed.
func (p *part) dropSeed(ctx context.Context) error {
	if err := p.b.set(ctx, p.node, p.vmid, nil, []string{seedSlot}); err != nil {
		return fmt.Errorf("take the seed out of VM %d: %w", p.vmid, err)
	}
	_, err := p.b.drop(ctx, p.node, p.seed)
	return err
}
