package image

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/runner"
)

// PruneRequest says what may go.
type PruneRequest struct {
	// Images are those to look at; none is all.
	Images []string
	// Keep is how many versions of each stay on a node; 0 is the Spec's.
	Keep int
	// DryRun only tells.
	DryRun bool
}

// Pruned is a template, and what became of it.
type Pruned struct {
	Template
	// Gone says that it was destroyed, or would be.
	Gone bool
	// Reason says why it stays.
	Reason string
}

// Prune destroys templates that nobody needs: of each image on each node all but the promoted version and the newest
// Keep, and not those that runners' disks are linked to. It also sweeps what dead builds have left.
func (b *Builder) Prune(ctx context.Context, r PruneRequest) ([]Pruned, error) {
	if r.Keep <= 0 {
		r.Keep = b.spec.Keep
	}
	in, err := b.take(ctx)
	if err != nil {
		return nil, err
	}
	if !r.DryRun {
		dead, alive, err := b.builds(ctx, in)
		if err != nil {
			return nil, err
		}
		if err := b.sweepAll(ctx, dead, in); err != nil {
			return nil, err
		}
		if err := b.orphans(ctx, in, alive, time.Now()); err != nil {
			return nil, err
		}
	}
	used, err := b.usedBy(ctx, in)
	if err != nil {
		return nil, err
	}
	out := []Pruned{}
	var all []error
	for _, v := range b.oldest(in, r) {
		p := Pruned{Template: Template{Image: *v.image, Node: v.node, Promoted: v.promoted(), Runners: used[v.id]}}
		switch {
		case v.promoted():
			p.Reason = "promoted"
		case used[v.id] > 0:
			p.Reason = fmt.Sprintf("%d runners use it", used[v.id])
		case v.config.Protection:
			p.Reason = "protected"
		case r.DryRun:
			p.Gone = true
		default:
			err := b.destroy(ctx, v)
			if err != nil && strings.Contains(err.Error(), "still in use by linked") {
				p.Reason = "VMs that this token doesn't see use it"
				break
			}
			if err != nil {
				p.Reason = err.Error()
				all = append(all, err)
				break
			}
			p.Gone = true
			b.log.Info("image destroyed", "image", v.image.Name, "version", v.image.Version, "vmid", v.id, "node", v.node)
		}
		out = append(out, p)
	}
	return out, together(all...)
}

// oldest are the templates beyond those that are kept, by image and node, the oldest last.
func (b *Builder) oldest(in inventory, r PruneRequest) []vm {
	type place struct{ image, node string }
	groups := map[place][]vm{}
	var order []place
	for _, v := range in.ours {
		if v.image == nil || len(r.Images) > 0 && !slices.Contains(r.Images, v.image.Name) {
			continue
		}
		at := place{v.image.Name, v.node}
		if groups[at] == nil {
			order = append(order, at)
		}
		groups[at] = append(groups[at], v)
	}
	var out []vm
	for _, at := range order {
		g := groups[at]
		slices.SortFunc(g, func(a, b vm) int { return runner.CompareVersions(b.image.Version, a.image.Version) })
		// The promoted version takes one of the places, wherever it stands.
		slices.SortStableFunc(g, func(a, b vm) int { return order01(!a.promoted()) - order01(!b.promoted()) })
		out = append(out, g[min(r.Keep, len(g)):]...)
	}
	return out
}
