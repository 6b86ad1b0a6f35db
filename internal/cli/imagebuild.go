package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"mayfly/internal/config"
	"mayfly/internal/image"
)

// imageBuild is what the flags of `mayfly image build` say.
type imageBuild struct {
	nodes                         []string
	schedule, sourceURL, checksum string
	noPromote, takeOver           bool
}

func newImageBuildCommand(a *app) *cobra.Command {
	var f imageBuild
	var version, sha256, fetch string
	var keep, installed bool
	cmd := &cobra.Command{
		Use:   "build [IMAGE…]",
		Short: "Build new versions of images, and promote them",
		Long: `Build makes a new version of each image (` + strings.Join(image.Known(), ", ") + `; without names those of image.names): the vendor's cloud image comes to the
node and is checked, the provisioning scripts run in a VM of it, the VM becomes a template, and a clone of that is booted to see that it would be
a runner. When all nodes have it, it is promoted: pools with "image:" follow it from the next clone on, and old versions that nobody uses go.

A build that fails or is interrupted leaves nothing behind, and pools at the version that they had. Ctrl-C cleans up first; a second one ends
at once, and then the next build cleans up.`,
		Example: `  mayfly image build debian-12
  mayfly image build ubuntu-24.04 ubuntu-22.04 --node pve1,pve2
  mayfly image build debian-12 --source-url https://mirror.example.org/debian-12.qcow2 --checksum sha256:…
  mayfly image build --schedule weekly`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var overrides []config.Override
			for _, o := range []struct{ flag, path, value string }{
				{"runner-version", "image.runner_version", version},
				{"runner-sha256", "image.runner_sha256", sha256},
				{"fetch", "image.fetch", fetch},
				{"schedule", "image.schedule", f.schedule},
				{"keep-download", "image.keep_download", strconv.FormatBool(keep)},
				{"packages-installed", "image.packages_installed", strconv.FormatBool(installed)},
			} {
				if cmd.Flags().Changed(o.flag) {
					overrides = append(overrides, config.Override{Path: o.path, Flag: "--" + o.flag, Value: o.value})
				}
			}
			c, err := a.loadConfig(nil, overrides...)
			if err != nil {
				return err
			}
			names, err := f.names(c, args)
			if err != nil {
				return usageError{err}
			}
			if cmd.Flags().Changed("schedule") {
				return a.buildBySchedule(cmd.Context(), c, names, f)
			}
			return a.buildNow(cmd.Context(), c, names, f)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.nodes, "node", nil, "`NODES` to build on (default: image.nodes)")
	flags.StringVar(&f.schedule, "schedule", "", "stay, and build by this `SCHEDULE`: daily, weekly or five cron fields")
	flags.BoolVar(&f.noPromote, "no-promote", false, "leave pools at the version that they follow")
	flags.BoolVar(&f.takeOver, "take-over", false, "sweep another build of the same image that looks alive")
	flags.StringVar(&f.sourceURL, "source-url", "", "`URL` of the cloud image to begin with (default: image.sources, or the vendor's)")
	flags.StringVar(&f.checksum, "checksum", "", "its `CHECKSUM`, sha256:… or sha512:…")
	flags.StringVar(&version, "runner-version", "", "`VERSION` of GitHub's runner (default: image.runner_version, or GitHub's latest)")
	flags.StringVar(&sha256, "runner-sha256", "", "`SHA256` of its archive for Linux on x64")
	flags.StringVar(&fetch, "fetch", "", "`WAY` of the cloud image to a node: auto, node or upload (default: image.fetch)")
	flags.BoolVar(&keep, "keep-download", false, "leave the cloud image on the storage for the next build")
	flags.BoolVar(&installed, "packages-installed", false, "install no packages: the cloud image holds them")
	return cmd
}

// names are the images to build, and checks what goes with one image only.
func (f imageBuild) names(c *config.Config, args []string) ([]string, error) {
	var names []string
	for _, arg := range args {
		name, err := image.Name(arg)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		names = imageNames(c)
	}
	switch {
	case (f.sourceURL == "") != (f.checksum == ""):
		return nil, errors.New("--source-url and --checksum go together: a file that nobody vouches for is not booted")
	case f.sourceURL != "" && len(names) != 1:
		return nil, fmt.Errorf("--source-url is for one image, and there are %d; use image.sources", len(names))
	}
	for _, name := range names {
		own := slices.ContainsFunc(c.Image.Sources, func(s config.ImageSource) bool { return s.Name == name })
		if f.sourceURL == "" && !own && !slices.Contains(image.Known(), name) {
			return nil, fmt.Errorf("image %q: no vendor is known for it, only for %s; give --source-url and --checksum, or image.sources", name, strings.Join(image.Known(), ", "))
		}
	}
	return names, nil
}

// buildNow builds the images one after the other.
func (a *app) buildNow(ctx context.Context, c *config.Config, names []string, f imageBuild) error {
	view := a.newBuildView(ctx, a.stderr, "")
	defer view.close()
	i, err := a.newImages(c, imageSpec(c), view.event)
	if err != nil {
		return err
	}
	defer i.close()
	var all []error
	for _, name := range names {
		built, err := i.build(ctx, name, f)
		view.end()
		if err != nil {
			all = append(all, err)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		for _, t := range built.Templates {
			fmt.Fprintf(a.stdout, "%s  %s  VM %d on %s  runner %s  %s\n", built.Image, built.Version, t.VMID, t.Node, t.RunnerVersion, promotedWord(built.Promoted))
		}
	}
	return errors.Join(all...)
}

func promotedWord(promoted bool) string {
	if promoted {
		return "promoted"
	}
	return "not promoted"
}

// build builds one image as the flags say.
func (i *images) build(ctx context.Context, name string, f imageBuild) (image.Built, error) {
	r, err := i.request(ctx, name)
	if err != nil {
		return image.Built{}, fmt.Errorf("build image %s: %w", name, err)
	}
	r.Nodes, r.NoPromote, r.TakeOver = f.nodes, f.noPromote, f.takeOver
	if f.sourceURL != "" {
		sum, err := image.ParseChecksum(f.checksum)
		if err != nil {
			return image.Built{}, usageError{err}
		}
		r.Source = &image.Source{URL: f.sourceURL, Checksum: sum}
	}
	return i.Build(ctx, r)
}

// buildBySchedule stays and builds until ctx ends.
func (a *app) buildBySchedule(ctx context.Context, c *config.Config, names []string, f imageBuild) error {
	i, err := a.newImages(c, imageSpec(c), logBuild(a.logger))
	if err != nil {
		return err
	}
	defer i.close()
	s, err := a.scheduled(i, names, f)
	if err != nil {
		return usageError{err}
	}
	s.Run(ctx)
	return nil
}

// scheduled builds the images by the configured schedule.
func (a *app) scheduled(i *images, names []string, f imageBuild) (image.Scheduled, error) {
	at, err := image.ParseSchedule(i.config.Image.Schedule)
	if err != nil {
		return image.Scheduled{}, err
	}
	return image.Scheduled{
		Schedule: at, Images: names, Spread: i.config.Installation, Logger: a.logger,
		Build: func(ctx context.Context, name string) error {
			_, err := i.build(ctx, name, f)
			return err
		},
	}, nil
}
