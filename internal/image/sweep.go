package image

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/proxmox"
)

const (
	// sweepPause is between two rounds of a sweep: a task that was under way may leave something new.
	sweepPause = 3 * time.Second
	// refusedAtMost is how many rounds in a row may be refused for want of a privilege before a sweep gives up.
	refusedAtMost = 3
	// deadAfter is how long all VMs of a build must stand still, off and with nothing of ours at work on them, before it
	// counts as dead: a build that is alive changes something within seconds.
	deadAfter = time.Minute
	// slack is how long after its time a build counts as alive: bringing, importing and checking the image come on top of
	// the scripts.
	slack = downloadPatience + importPatience
)

// build names one build: a version of an image.
type build struct{ image, version string }

// cleanUp removes what a build of this process has made, after it failed or was interrupted. It has a time of its own:
// the build's context may be over.
func (j *job) cleanUp(ctx context.Context, t *teller) error {
	t.stage(StageCleanUp, "")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpPatience)
	defer cancel()
	err := j.b.sweep(ctx, build{j.request.Image, j.version}, j.nodes, j.mine())
	if err != nil {
		return fmt.Errorf("clean up: %w; what is left goes with the next build, or with mayfly image prune", err)
	}
	return nil
}

// makeWay sweeps what dead builds have left, and refuses while another build of the image is alive.
func (b *Builder) makeWay(ctx context.Context, in inventory, r Request, t *teller) (inventory, error) {
	dead, alive, err := b.builds(ctx, in)
	if err != nil {
		return in, err
	}
	for _, a := range alive {
		switch {
		case a.image != r.Image:
		case r.TakeOver:
			dead = append(dead, a)
		default:
			return in, fmt.Errorf("%w: version %s%s; wait for it, or sweep it with --take-over when you know that it is dead", ErrBusy, a.version, in.where(a))
		}
	}
	if len(dead) == 0 {
		return in, nil
	}
	t.stage(StageSweep, "what an earlier build left")
	swept, cancel := context.WithTimeout(ctx, cleanUpPatience)
	defer cancel()
	if err := b.sweepAll(swept, dead, in); err != nil {
		return in, fmt.Errorf("sweep what an earlier build left: %w", err)
	}
	return b.take(ctx)
}

func (b *Builder) sweepAll(ctx context.Context, dead []build, in inventory) error {
	for _, d := range dead {
		b.log.Warn("image build swept", "image", d.image, "version", d.version, "reason", "it was cut off")
		if err := b.sweep(ctx, d, b.nodesOf(in), nil); err != nil {
			return err
		}
	}
	return nil
}

// nodesOf are all nodes on which there may be something of a build: the Spec's, and those with a VM of ours.
func (b *Builder) nodesOf(in inventory) []string {
	nodes := slices.Clone(b.spec.Nodes)
	for _, v := range in.ours {
		nodes = append(nodes, v.node)
	}
	slices.Sort(nodes)
	return slices.DeleteFunc(slices.Compact(nodes), func(n string) bool { return !in.nodes[n] })
}

// where tells of a build's VMs.
func (in inventory) where(d build) string {
	for _, v := range in.ours {
		if v.build != nil && v.name() == d.image && v.version() == d.version {
			return fmt.Sprintf(", VM %d on %s, since %s", v.id, v.node, v.build.Created.Format(time.RFC3339))
		}
	}
	return ""
}

// builds tells the dead from those that may be alive. Dead is one whose time is over, and one whose VMs are all off and
// stay as they are for a minute: whoever builds there would have gone on.
func (b *Builder) builds(ctx context.Context, in inventory) (dead, alive []build, err error) {
	var quiet []vm
	over := map[build]bool{}
	for _, v := range in.ours {
		if v.build == nil {
			continue
		}
		d := build{v.name(), v.version()}
		is, err := b.idle(ctx, v)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case time.Since(v.build.Created) > b.spec.Timeout+slack:
			over[d] = true
		case is:
			quiet = append(quiet, v)
		default:
			alive = append(alive, d)
		}
	}
	quiet = slices.DeleteFunc(quiet, func(v vm) bool { return slices.Contains(alive, build{v.name(), v.version()}) })
	if len(quiet) > 0 && !pause(ctx, deadAfter) {
		return nil, nil, context.Cause(ctx)
	}
	for _, v := range quiet {
		now, ours, err := b.look(ctx, proxmox.Resource{Node: v.node, VMID: v.id})
		if err != nil {
			return nil, nil, err
		}
		is := false
		if ours {
			if is, err = b.idle(ctx, v); err != nil {
				return nil, nil, err
			}
		}
		if !ours || !is || now.config.Digest != v.config.Digest {
			alive = append(alive, build{v.name(), v.version()})
		}
	}
	for _, v := range in.ours {
		if v.build == nil {
			continue
		}
		d := build{v.name(), v.version()}
		if over[d] || !slices.Contains(alive, d) {
			dead = append(dead, d)
		}
	}
	alive = slices.DeleteFunc(alive, func(d build) bool { return over[d] })
	return unique(dead), unique(alive), nil
}

func unique(list []build) []build {
	slices.SortFunc(list, func(a, b build) int {
		return strings.Compare(a.image+" "+a.version, b.image+" "+b.version)
	})
	return slices.Compact(list)
}

// idle reports whether a VM is off, unlocked, and no task of ours is at work on it.
func (b *Builder) idle(ctx context.Context, v vm) (bool, error) {
	if v.config.Lock != "" {
		return false, nil
	}
	st, err := b.pve.VMStatus(ctx, v.node, v.id)
	if errors.Is(err, proxmox.NotFound) || errors.Is(err, proxmox.Permission) {
		return true, nil
	}
	if err != nil || st.Status != "stopped" {
		return false, err
	}
	tasks, err := b.pve.Tasks(ctx, v.node, proxmox.TaskFilter{Source: "active", VMID: v.id})
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(tasks, func(t proxmox.Task) bool { return t.Running }), nil
}

// sweep removes everything of one build, in rounds until a round finds nothing: tasks under way are stopped or waited
// for, since what they make shows only afterwards. vmids are those that the build was given, where that is known.
func (b *Builder) sweep(ctx context.Context, d build, nodes []string, vmids []int) error {
	var last error
	refused := 0
	for {
		found, err := b.sweepRound(ctx, d, nodes, vmids)
		if err == nil && !found {
			return nil
		}
		if err != nil {
			last = err
		}
		// Of a VM that has just gone the token is refused, too: the next round doesn't see it any more.
		if refused++; !errors.Is(err, proxmox.Permission) && !errors.Is(err, proxmox.Unauthorized) {
			refused = 0
		}
		if refused == refusedAtMost {
			return last
		}
		if !pause(ctx, sweepPause) {
			if last == nil {
				last = context.Cause(ctx)
			}
			return last
		}
	}
}

func (b *Builder) sweepRound(ctx context.Context, d build, nodes []string, vmids []int) (found bool, err error) {
	var all []error
	for _, node := range nodes {
		busy, err := b.endTasks(ctx, d, node, vmids)
		found = found || busy
		all = append(all, err)
	}
	in, err := b.take(ctx)
	if err != nil {
		return found, together(append(all, err)...)
	}
	left := slices.DeleteFunc(in.ours, func(v vm) bool { return v.name() != d.image || v.version() != d.version || v.promoted() })
	// Clones of a template go before it.
	slices.SortStableFunc(left, func(a, b vm) int { return order01(a.config.Template) - order01(b.config.Template) })
	for _, v := range left {
		found = true
		all = append(all, b.destroy(ctx, v))
	}
	if len(left) > 0 {
		return found, together(all...) // their drives name the files
	}
	for _, node := range nodes {
		more, err := b.dropFiles(ctx, node, func(image, version string) bool { return image == d.image && version == d.version })
		found = found || more
		all = append(all, err)
	}
	return found, together(all...)
}

func order01(last bool) int {
	if last {
		return 1
	}
	return 0
}

// endTasks ends what tasks of the build are under way on a node, and reports whether there were any.
func (b *Builder) endTasks(ctx context.Context, d build, node string, vmids []int) (bool, error) {
	tasks, err := b.pve.Tasks(ctx, node, proxmox.TaskFilter{Source: "active"})
	if err != nil {
		return false, err
	}
	busy := false
	for _, t := range tasks {
		if !t.Running || t.User != b.spec.TokenID || !b.isOf(t, d, node, vmids) {
			continue
		}
		busy = true
		switch t.Type {
		case "qmclone", "download":
			// These clean up after themselves when they are stopped. A creation that is stopped at its very beginning
			// leaves a VM with "lock: create", which no token can remove: its end is waited for.
			if err := b.pve.StopTask(ctx, t.UPID); err != nil {
				return true, err
			}
		}
		_ = b.pve.WaitTask(ctx, t.UPID) // however it ends
	}
	return busy, nil
}

// isOf reports whether a task of ours belongs to a build. Of uploads Proxmox doesn't tell which file: those of runners'
// seeds take a moment, too, and are only waited for.
func (b *Builder) isOf(t proxmox.Task, d build, node string, vmids []int) bool {
	switch t.Type {
	case "download":
		return strings.Contains(t.ID, b.downloadName(d.image, d.version, node)) ||
			strings.Contains(t.ID, keptFile+b.spec.Installation+"."+d.image+".")
	case "imgcopy", "imgdel":
		return vmids != nil
	}
	return slices.ContainsFunc(vmids, func(id int) bool { return t.ID == strconv.Itoa(id) })
}

// destroy destroys a VM of ours, looked at right before.
func (b *Builder) destroy(ctx context.Context, v vm) error {
	now, same, err := b.still(ctx, v)
	if err != nil || !same {
		return err
	}
	if now.config.Lock != "" {
		return fmt.Errorf("destroy VM %d on %s: it is locked (%s); on %s run: qm unlock %d", v.id, v.node, now.config.Lock, v.node, v.id)
	}
	if now.config.Protection {
		return fmt.Errorf("destroy VM %d on %s: it is protected; take its protection off, or leave it", v.id, v.node)
	}
	if !now.config.Template {
		if err := b.orders.Power(ctx, v.node, v.id, "qmstop", b.pve.Stop); err != nil && !gone(err) {
			return err
		}
	}
	if err := b.orders.Power(ctx, v.node, v.id, "qmdestroy", b.pve.Delete); err != nil && !gone(err) {
		return err
	}
	return nil
}

// dropFiles deletes the files of builds on a node's storage, and reports whether there were any.
func (b *Builder) dropFiles(ctx context.Context, node string, of func(image, version string) bool) (bool, error) {
	found := false
	for _, content := range []string{"iso", "import"} {
		files, err := b.pve.Volumes(ctx, node, b.spec.FilesStorage, content)
		if err != nil {
			return found, err
		}
		for _, f := range files {
			image, version, _, ours := b.buildOf(f.Name())
			if !ours || !of(image, version) {
				continue
			}
			left, err := b.drop(ctx, node, f.ID)
			if err != nil {
				return true, err
			}
			found = found || !left
		}
	}
	return found, nil
}

// orphans deletes files of builds that are neither alive nor have a VM: what a build left that was killed early.
func (b *Builder) orphans(ctx context.Context, in inventory, alive []build, now time.Time) error {
	var all []error
	for _, node := range b.nodesOf(in) {
		_, err := b.dropFiles(ctx, node, func(image, version string) bool {
			at, err := time.Parse("20060102-1504", version[:min(len(version), 13)])
			young := err != nil || now.Sub(at) < b.spec.Timeout+slack
			return !young && !slices.Contains(alive, build{image, version})
		})
		all = append(all, err)
	}
	return together(all...)
}
