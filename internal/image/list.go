package image

import (
	"cmp"
	"context"
	"slices"

	"mayfly/internal/runner"
)

// Template is a template that Mayfly built.
type Template struct {
	runner.Image
	Node     string
	Promoted bool
	// Runners is how many VMs there are that were cloned from it.
	Runners int
}

// List gives all templates of this installation, by image, newest first, then by node.
func (b *Builder) List(ctx context.Context) ([]Template, error) {
	in, err := b.take(ctx)
	if err != nil {
		return nil, err
	}
	used, err := b.usedBy(ctx, in)
	if err != nil {
		return nil, err
	}
	list := []Template{}
	for _, v := range in.ours {
		if v.image != nil {
			list = append(list, Template{Image: *v.image, Node: v.node, Promoted: v.promoted(), Runners: used[v.id]})
		}
	}
	slices.SortFunc(list, func(a, b Template) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), runner.CompareVersions(b.Version, a.Version), cmp.Compare(a.Node, b.Node))
	})
	return list, nil
}
