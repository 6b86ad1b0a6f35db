package image

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// seal makes an image of a build that has passed: the marker of an image takes the place of the build's.
func (p *part) seal(ctx context.Context) (Template, error) {
	i := runner.Image{
		Installation: p.b.spec.Installation, Name: p.request.Image, Version: p.version, RunnerVersion: p.request.Release.Version,
		RunnerReleased: p.request.Release.Released, Built: time.Now(), Contract: p.guest.Contract, VMID: p.vmid,
	}
	if err := i.Check(); err != nil {
		return Template{}, err
	}
	err := p.b.set(ctx, p.node, p.vmid, map[string]string{"description": i.Description(), "tags": runner.TagImage}, nil)
	if err != nil {
		return Template{}, fmt.Errorf("mark template %d: %w", p.vmid, err)
	}
	return Template{Image: i, Node: p.node}, nil
}

// Promote makes pools follow a version of an image, on every node that has it. It first promotes that version everywhere
// and then takes the promotion from the others, so that at no time a node is without one; said again it changes nothing.
func (b *Builder) Promote(ctx context.Context, image, version string) error {
	in, err := b.take(ctx)
	if err != nil {
		return err
	}
	var wanted, others []vm
	var versions []string
	for _, v := range in.ours {
		switch {
		case v.image == nil || v.image.Name != image:
		case v.image.Version == version:
			wanted = append(wanted, v)
		default:
			versions = append(versions, v.image.Version)
			if v.promoted() {
				others = append(others, v)
			}
		}
	}
	if len(wanted) == 0 {
		return fmt.Errorf("promote %s %s: there is no such version%s", image, version, instead(versions))
	}
	for _, v := range wanted {
		if err := b.retag(ctx, v, true); err != nil {
			return fmt.Errorf("promote %s %s: %w; run mayfly image promote %s %s again", image, version, err, image, version)
		}
	}
	for _, v := range others {
		if err := b.retag(ctx, v, false); err != nil {
			return fmt.Errorf("promote %s %s: %w; run mayfly image promote %s %s again", image, version, err, image, version)
		}
	}
	b.log.Info("image promoted", "image", image, "version", version, "templates", len(wanted))
	return nil
}

// retag gives or takes the tag of promotion, and leaves others' tags.
func (b *Builder) retag(ctx context.Context, v vm, promoted bool) error {
	tags := slices.DeleteFunc(slices.Clone(v.config.Tags), func(t string) bool { return t == runner.TagPromoted || t == runner.TagImage })
	tags = append(tags, runner.TagImage)
	if promoted {
		tags = append(tags, runner.TagPromoted)
	}
	if promoted == v.promoted() {
		return nil
	}
	return b.set(ctx, v.node, v.id, map[string]string{"tags": strings.Join(tags, ";")}, nil)
}

func instead(versions []string) string {
	if len(versions) == 0 {
		return "; build one: mayfly image build"
	}
	slices.SortFunc(versions, func(a, b string) int { return runner.CompareVersions(b, a) })
	return ", only " + strings.Join(slices.Compact(versions), ", ")
}

// Newest is the newest version of an image that every node with the image has: what may be promoted without leaving a
// node behind; without one it is the newest of all.
func (b *Builder) Newest(ctx context.Context, image string) (string, error) {
	in, err := b.take(ctx)
	if err != nil {
		return "", err
	}
	nodes, has := map[string]bool{}, map[string]map[string]bool{}
	for _, v := range in.ours {
		if v.image == nil || v.image.Name != image {
			continue
		}
		nodes[v.node] = true
		if has[v.image.Version] == nil {
			has[v.image.Version] = map[string]bool{}
		}
		has[v.image.Version][v.node] = true
	}
	versions := slices.SortedFunc(maps.Keys(has), func(a, b string) int { return runner.CompareVersions(b, a) })
	for _, version := range versions {
		if len(has[version]) == len(nodes) {
			return version, nil
		}
	}
	if len(versions) == 0 {
		return "", fmt.Errorf("promote %s: no version of it was built; run mayfly image build %s", image, image)
	}
	return versions[0], nil
}
