package image

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"mayfly/internal/runner"
)

// ErrBusy says that another build of the image seems to be under way.
var ErrBusy = errors.New("another build of this image is under way")

const (
	// atOnce is how many nodes build at the same time: each reads the same archives, and writes a whole disk.
	atOnce = 2
	// cleanUpPatience bounds the clean-up of a build that failed or was interrupted: a few short tasks a node.
	cleanUpPatience = 5 * time.Minute
	// promotePatience bounds what must not be cut in half once it has begun.
	promotePatience = 2 * time.Minute
)

// Release is a release of GitHub's Actions runner for Linux on x64.
type Release struct {
	Version, SHA256 string
	// URL is "" for GitHub's own address.
	URL string
	// Released is the day it was published; zero when nobody told.
	Released time.Time
}

// Request asks for one image.
type Request struct {
	// Image is its name, as [Name] gives it.
	Image string
	// Nodes are those to build on; none is the Spec's.
	Nodes []string
	// Source is where it begins; nil is the vendor's current one.
	Source  *Source
	Release Release
	// NoPromote leaves pools at the version that they follow.
	NoPromote bool
	// TakeOver sweeps a build of the same image that looks alive.
	TakeOver bool
}

// Built is a version that was built.
type Built struct {
	Image, Version string
	Templates      []Template
	Promoted       bool
}

// Build makes a version of an image on every node that needs one, and promotes it when all have it. When it returns an
// error nothing of the version is left, unless the error says what; pools go on with what they had. It returns [ErrBusy]
// while another build of the image is under way.
func (b *Builder) Build(ctx context.Context, r Request) (Built, error) {
	t := &teller{r: b.report, event: Event{Image: r.Image}}
	out, err := b.build(ctx, r, t)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted: %w", err) // the call that was cut off says only that
		}
		t.stage(StageFailed, "") // the caller says why
		return out, fmt.Errorf("build image %s: %w", r.Image, err)
	}
	words := "promoted"
	if !out.Promoted {
		words = "not promoted"
	}
	t.stage(StageDone, words)
	return out, nil
}

func (b *Builder) build(ctx context.Context, r Request, t *teller) (Built, error) {
	t.stage(StageResolve, "")
	source, err := b.source(ctx, r)
	if err != nil {
		return Built{}, err
	}
	in, err := b.take(ctx)
	if err != nil {
		return Built{}, err
	}
	if in, err = b.makeWay(ctx, in, r, t); err != nil {
		return Built{}, err
	}
	nodes, err := b.nodesFor(ctx, r, in)
	if err != nil {
		return Built{}, err
	}
	version, err := newVersion(time.Now(), in, r.Image)
	if err != nil {
		return Built{}, err
	}
	t.event.Version = version
	t.says(fmt.Sprintf("version %s with runner %s, from %s", version, r.Release.Version, source.URL))
	j := &job{b: b, request: r, source: source, version: version, created: time.Now(), nodes: nodes, taken: in.taken}
	templates, err := j.run(ctx)
	if err != nil {
		if left := j.cleanUp(ctx, t); left != nil {
			err = fmt.Errorf("%w; %w", err, left)
		}
		return Built{}, err
	}
	out := Built{Image: r.Image, Version: version, Templates: templates}
	if !r.NoPromote {
		t.stage(StagePromote, "")
		// Cut in half it would leave nodes at two versions; it takes a second.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), promotePatience)
		defer cancel()
		if err := b.Promote(ctx, r.Image, version); err != nil {
			return out, fmt.Errorf("%w; it is built and whole: mayfly image promote %s %s", err, r.Image, version)
		}
		out.Promoted = true
	}
	if ctx.Err() == nil {
		t.stage(StagePrune, "")
		if _, err := b.Prune(ctx, PruneRequest{Images: []string{r.Image}}); err != nil {
			b.log.Warn("old images stay", "image", r.Image, "reason", err)
		}
	}
	return out, nil
}

// source is what was asked for, or the vendor's.
func (b *Builder) source(ctx context.Context, r Request) (Source, error) {
	if r.Source != nil {
		return *r.Source, nil
	}
	return VendorSource(ctx, b.http, r.Image)
}

// nodesFor are the nodes to build on: one where all see the storage.
func (b *Builder) nodesFor(ctx context.Context, r Request, in inventory) ([]string, error) {
	nodes := slices.Clone(r.Nodes)
	if len(nodes) == 0 {
		nodes = slices.Clone(b.spec.Nodes)
	}
	for _, n := range nodes {
		if online, known := in.nodes[n]; !known {
			return nil, fmt.Errorf("node %q: the cluster has none of that name", n)
		} else if !online {
			return nil, fmt.Errorf("node %s is offline; wait for it, or leave it out with --node", n)
		}
	}
	shared := true
	for _, n := range nodes {
		disks, err := b.checkStorages(ctx, n)
		if err != nil {
			return nil, err
		}
		shared = shared && disks.Shared
	}
	if shared {
		nodes = nodes[:1]
	}
	return nodes, nil
}

// job is one version of an image in the making.
type job struct {
	b       *Builder
	request Request
	source  Source
	version string
	created time.Time
	nodes   []string

	mu    sync.Mutex
	taken map[int]bool
	vmids []int // allotted to this build
}

// run builds on every node and then, when all have it, makes images of the builds.
func (j *job) run(ctx context.Context) ([]Template, error) {
	group, together := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	parts := make([]*part, len(j.nodes))
	for i, node := range j.nodes {
		parts[i] = j.part(node)
		group.Go(func() error {
			if err := parts[i].build(together); err != nil {
				words := err.Error()
				if together.Err() != nil && ctx.Err() == nil {
					words = "given up, because another node failed"
				}
				parts[i].tell.stage(StageFailed, words)
				return fmt.Errorf("node %s: %w", node, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var out []Template
	for _, p := range parts {
		t, err := p.seal(ctx)
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", p.node, err)
		}
		out = append(out, t)
	}
	return out, nil
}

// marker is what the VMs of the build carry.
func (j *job) marker(vmid int) runner.BuildMarker {
	return runner.BuildMarker{
		Installation: j.b.spec.Installation, Image: j.request.Image, Version: j.version, VMID: vmid, Created: j.created,
	}
}
