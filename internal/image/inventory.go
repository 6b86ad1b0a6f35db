package image

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// vm is a VM among the images' VMIDs that is ours: it has one of the two markers.
type vm struct {
	node   string
	id     int
	config proxmox.VMConfig
	// image is the marker of a template, build that of a VM in which one is made; the other is nil.
	image *runner.Image
	build *runner.BuildMarker
}

// name and version tell what it is, or is to become.
func (v vm) name() string {
	if v.image != nil {
		return v.image.Name
	}
	return v.build.Image
}

func (v vm) version() string {
	if v.image != nil {
		return v.image.Version
	}
	return v.build.Version
}

func (v vm) promoted() bool {
	return v.image != nil && slices.Contains(v.config.Tags, runner.TagPromoted)
}

// inventory is what there is of images in the cluster.
type inventory struct {
	// taken are VMIDs that a guest has, whoever's.
	taken map[int]bool
	// nodes are those that are online.
	nodes map[string]bool
	// ours are in the order of their VMIDs.
	ours []vm
	// runners are VMs of the runners' VMIDs.
	runners []proxmox.Resource
}

// take looks at the cluster: one list, and a config for each VM in our range that the token sees.
func (b *Builder) take(ctx context.Context) (inventory, error) {
	list, err := b.pve.Resources(ctx)
	if err != nil {
		return inventory{}, err
	}
	in := inventory{taken: map[int]bool{}, nodes: map[string]bool{}}
	for _, r := range list {
		switch r.Type {
		case "node":
			in.nodes[r.Node] = r.Status == "online"
		case "lxc":
			in.taken[r.VMID] = true
		case "qemu":
			in.taken[r.VMID] = true
			if b.spec.Runners.Contains(r.VMID) {
				in.runners = append(in.runners, r)
			}
			if !b.spec.VMIDs.Contains(r.VMID) {
				continue
			}
			v, ours, err := b.look(ctx, r)
			if err != nil {
				return inventory{}, err
			}
			if ours {
				in.ours = append(in.ours, v)
			}
		}
	}
	slices.SortFunc(in.ours, func(a, b vm) int { return a.id - b.id })
	return in, nil
}

// look decides whose a VM is. All of these must agree: the VMID is in our range, a marker is of our installation, and the
// marker's VMID is this one's; a template has an image's marker or a build's, any other VM only a build's.
func (b *Builder) look(ctx context.Context, r proxmox.Resource) (vm, bool, error) {
	cfg, err := b.pve.VMConfig(ctx, r.Node, r.VMID)
	switch {
	case errors.Is(err, proxmox.NotFound), errors.Is(err, proxmox.Permission):
		return vm{}, false, nil // gone, or not for us
	case err != nil:
		return vm{}, false, err
	}
	v := vm{node: r.Node, id: r.VMID, config: cfg}
	if m, err := runner.ParseBuildMarker(cfg.Description); err == nil && m.Installation == b.spec.Installation && m.VMID == r.VMID {
		v.build = &m
		return v, true, nil
	}
	if m, err := runner.ParseImage(cfg.Description); err == nil && cfg.Template && m.Installation == b.spec.Installation && m.VMID == r.VMID {
		v.image = &m
		return v, true, nil
	}
	return vm{}, false, nil
}

// still reads a VM's config anew and tells whether it is still what it was: asked right before it is destroyed.
func (b *Builder) still(ctx context.Context, v vm) (vm, bool, error) {
	now, ours, err := b.look(ctx, proxmox.Resource{Node: v.node, VMID: v.id})
	return now, ours && now.version() == v.version() && now.name() == v.name() && (now.image == nil) == (v.image == nil), err
}

// allot gives a VMID of our range that nobody has, and keeps it for this build.
func (j *job) allot(ctx context.Context) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for id := j.b.spec.VMIDs.Start; id <= j.b.spec.VMIDs.End; id++ {
		if j.taken[id] {
			continue
		}
		free, err := j.b.pve.VMIDFree(ctx, id) // it sees guests that the token doesn't
		if err != nil {
			return 0, err
		}
		j.taken[id] = true
		if free {
			j.vmids = append(j.vmids, id)
			return id, nil
		}
	}
	return 0, fmt.Errorf("find a VMID: all from %d to %d are taken; run mayfly image prune, or widen image.vmids", j.b.spec.VMIDs.Start, j.b.spec.VMIDs.End)
}

// newVersion is one that no image of that name has.
func newVersion(now time.Time, in inventory, image string) (string, error) {
	for n := range 1000 {
		v := runner.NewVersion(now, n)
		if !slices.ContainsFunc(in.ours, func(x vm) bool { return x.name() == image && x.version() == v }) {
			return v, nil
		}
	}
	return "", fmt.Errorf("image %s: a thousand versions of one minute", image)
}

// usedBy counts the runners of each template: those whose marker names it, and those whose disks are linked to its.
func (b *Builder) usedBy(ctx context.Context, in inventory) (map[int]int, error) {
	used := map[int]int{}
	for _, r := range in.runners {
		if r.Template {
			continue
		}
		cfg, err := b.pve.VMConfig(ctx, r.Node, r.VMID)
		switch {
		case errors.Is(err, proxmox.NotFound), errors.Is(err, proxmox.Permission):
			continue
		case err != nil:
			return nil, err
		}
		for _, v := range in.ours {
			m, err := runner.ParseMarker(cfg.Description)
			if err == nil && m.VMID == r.VMID && m.Template == v.id || linked(cfg, v.id) {
				used[v.id]++
			}
		}
	}
	return used, nil
}

// linked reports whether a disk of the VM names a base volume of the template, "dir:9000/base-9000-disk-0.qcow2/201/…" or
// "zfs:base-9000-disk-0/vm-201-disk-0" (pve-storage Plugin.pm, parse_volname).
func linked(cfg proxmox.VMConfig, template int) bool {
	base := fmt.Sprintf("base-%d-disk-", template)
	for key, value := range cfg.Values {
		if key != "description" && key != "name" && strings.Contains(value, base) {
			return true
		}
	}
	return false
}
