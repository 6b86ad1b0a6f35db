package cli

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"mayfly/internal/check"
	"mayfly/internal/config"
	"mayfly/internal/image"
	"mayfly/runners"
)

func newImageCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Build and keep the templates that runners are cloned from",
		Long: `Image builds runner templates by Proxmox's API alone and keeps their versions. A pool with "image: debian-12" follows the version that is
promoted, without a restart. docs/image-build.md says what the token must be allowed and what happens when a build fails.`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, construct := range []func(*app) *cobra.Command{newImageBuildCommand, newImageListCommand, newImagePromoteCommand, newImagePruneCommand} {
		cmd.AddCommand(construct(a))
	}
	return cmd
}

// imageSpec is the part of the configuration that builds follow.
func imageSpec(c *config.Config) image.Spec {
	i := c.Image
	s := image.Spec{
		Installation: c.Installation, TokenID: c.Proxmox.TokenID, VMIDs: image.VMIDs(i.VMIDs), Runners: image.VMIDs(c.VMIDs), Nodes: i.Nodes,
		Storage: i.Storage, FilesStorage: i.FilesStorage, ResourcePool: i.ResourcePool, Bridge: i.Bridge, VLAN: i.VLAN, Cores: i.Cores,
		Memory: i.Memory, Disk: i.Disk, Keep: i.Keep, Timeout: i.Timeout, Fetch: image.Fetch(i.Fetch), KeepDownload: i.KeepDownload,
		Contents: image.Contents{
			Packages: i.Packages, PackagesInstalled: i.PackagesInstalled, Docker: i.Docker, APTProxy: i.APTProxy, HTTPProxy: i.HTTPProxy, NoProxy: i.NoProxy,
		},
	}
	if len(s.Nodes) == 0 {
		s.Nodes = []string{c.Proxmox.Node}
	}
	if s.FilesStorage == "" {
		s.FilesStorage = c.Proxmox.Storage
	}
	return s
}

// imageNames are the images that the schedule builds.
func imageNames(c *config.Config) []string {
	if len(c.Image.Names) == 0 {
		return []string{"debian-12"}
	}
	return c.Image.Names
}

// images is a builder with the clients that it uses.
type images struct {
	*image.Builder
	clients
	config *config.Config
	spec   image.Spec
}

// newImages makes a builder. progress may be nil. Its clients are to be closed.
func (a *app) newImages(c *config.Config, spec image.Spec, progress func(image.Event)) (*images, error) {
	both, err := newClients(c, a.logger, check.Build)
	if err != nil {
		return nil, err
	}
	b, err := a.newBuilder(both, spec, progress)
	if err != nil {
		both.close()
		return nil, err
	}
	return &images{b, both, c, spec}, nil
}

func (a *app) newBuilder(both clients, spec image.Spec, progress func(image.Event)) (*image.Builder, error) {
	b, err := image.New(image.Options{
		Spec: spec, Proxmox: both.pve, Scripts: runners.Common, CacheDir: a.cacheDir("images"), Progress: progress, Logger: a.logger,
	})
	if err != nil {
		return nil, usageError{err}
	}
	return b, nil
}

// releasePatience bounds asking GitHub for the runner's release.
const releasePatience = 2 * time.Minute

// release is the runner that goes into an image: the pinned one, or the one that GitHub offers the runners of the first
// repository that answers.
func (i *images) release(ctx context.Context) (image.Release, error) {
	if v := i.config.Image.RunnerVersion; v != "" {
		return image.Release{Version: v, SHA256: i.config.Image.RunnerSHA256, URL: i.config.Image.RunnerURL}, nil
	}
	if len(i.config.Pools) == 0 {
		return image.Release{}, errors.New("choose the runner: no pool whose repository could be asked; set image.runner_version and image.runner_sha256")
	}
	ctx, cancel := context.WithTimeout(ctx, releasePatience)
	defer cancel()
	var errs []error
	for _, t := range fleetSpec(i.config).Targets() {
		r, err := i.gh.LatestRunner(ctx, t)
		if err == nil {
			r.URL = cmp.Or(i.config.Image.RunnerURL, r.URL)
			return image.Release(r), nil
		}
		errs = append(errs, err)
	}
	return image.Release{}, errs[0] // the first repository's: there is a pool, so there is one
}

// request is what is asked for by name.
func (i *images) request(ctx context.Context, name string) (image.Request, error) {
	release, err := i.release(ctx)
	if err != nil {
		return image.Request{}, err
	}
	r := image.Request{Image: name, Release: release}
	for _, s := range i.config.Image.Sources {
		if s.Name != name {
			continue
		}
		sum, err := image.ParseChecksum(s.Checksum)
		if err != nil {
			return image.Request{}, usageError{err}
		}
		r.Source = &image.Source{URL: s.URL, Checksum: sum}
	}
	return r, nil
}
