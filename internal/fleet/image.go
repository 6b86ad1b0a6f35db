package fleet

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// image finds what a pool that follows an image is cloned from: of the node's templates with the tags of an image and
// of a promoted one, and a marker that names the image, the newest version, and behind it the older ones. The list of
// resources shows tags live, so a promotion counts from the next look on; only candidates have their config read.
func (g *gatherer) image(ctx context.Context, node, name string, all []proxmox.Resource, at time.Time) template {
	var usable []template
	var refused, elsewhere, waiting []string
	for _, r := range all {
		if r.Type != "qemu" || !r.Template || !slices.Contains(r.Tags, runner.TagImage) || !mayBe(r.Name, name) {
			continue
		}
		promoted := slices.Contains(r.Tags, runner.TagPromoted)
		switch {
		case promoted && r.Node != node:
			elsewhere = append(elsewhere, r.Node)
			continue
		case !promoted:
			if image, version, ok := runner.ParseTemplateName(r.Name); ok && image == name && r.Node == node {
				waiting = append(waiting, version)
			}
			continue
		}
		t := g.readTemplate(ctx, r, r.Name, at)
		if t.problem == "" || t.cfg.Name != "" { // its config could be read
			if why := g.spec.refusal(name, t); why != "" {
				refused = append(refused, why)
				continue
			}
		}
		usable = append(usable, t)
	}
	if len(usable) == 0 {
		return template{code: WaitNoTemplate, problem: noImage(node, name, refused, elsewhere, waiting)}
	}
	slices.SortFunc(usable, func(a, b template) int {
		return cmp.Or(runner.CompareVersions(b.image.Version, a.image.Version), cmp.Compare(b.id, a.id))
	})
	newest := usable[0]
	newest.older = usable[1:]
	return newest
}

// mayBe reports whether a template of that name may hold the image. A name that isn't ours, or isn't known yet, tells
// nothing.
func mayBe(templateName, image string) bool {
	other, _, ok := runner.ParseTemplateName(templateName)
	return !ok || other == image
}

// refusal says why a promoted template isn't a version of the image that a pool may follow; "" when it is.
func (s Spec) refusal(name string, t template) string {
	i, err := runner.ParseImage(t.cfg.Description)
	switch {
	case err != nil:
		return fmt.Sprintf("VM %d is tagged %s, but holds no version of it: %s", t.id, runner.TagPromoted, err)
	case i.VMID != t.id:
		return fmt.Sprintf("VM %d is tagged %s, but its notes are a copy of VM %d's", t.id, runner.TagPromoted, i.VMID)
	case i.Name != name:
		return fmt.Sprintf("VM %d is tagged %s, but holds image %q", t.id, runner.TagPromoted, i.Name)
	case i.Installation != s.Installation:
		return fmt.Sprintf("VM %d is of installation %q, not %q", t.id, i.Installation, s.Installation)
	case i.Contract < handoff.OldestContract:
		return fmt.Sprintf("VM %d, version %s, keeps run-once contract %d, and this Mayfly needs %d or newer", t.id, i.Version, i.Contract, handoff.OldestContract)
	case i.Contract > handoff.Contract:
		return fmt.Sprintf("VM %d, version %s, was built by a newer Mayfly (run-once contract %d, this one speaks up to %d): update this one", t.id, i.Version, i.Contract, handoff.Contract)
	}
	return ""
}

// noImage says that no version of an image can be followed, why, and what to do.
func noImage(node, name string, refused, elsewhere, waiting []string) string {
	text := fmt.Sprintf("image %q has no promoted template on node %s", name, node)
	if len(refused) > 0 {
		text += " (" + strings.Join(refused, "; ") + ")"
	}
	if len(waiting) > 0 {
		slices.SortFunc(waiting, runner.CompareVersions)
		return fmt.Sprintf("%s, but version %s is built; run: mayfly image promote %s", text, waiting[len(waiting)-1], name)
	}
	if len(elsewhere) > 0 {
		slices.Sort(elsewhere)
		text += ", only on " + strings.Join(slices.Compact(elsewhere), ", ")
	}
	return fmt.Sprintf("%s as far as this token sees; run: mayfly image build %s", text, name)
}

// sayTemplate tells which version of an image runners are made from, when that changes.
func (c *Controller) sayTemplate(a action) {
	t, base := a.template, a.pool.Base()
	if t.image.Name == "" || c.followed[base] == t.id {
		return
	}
	c.followed[base] = t.id
	c.log.Info("template chosen", "pool", a.pool.Name, "template", t.cfg.Name, "vmid", t.id, "node", a.node,
		"image", t.image.Name, "version", t.image.Version, "runner_version", t.image.RunnerVersion)
}

// sameTags reports whether two lists hold the same tags.
func sameTags(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
