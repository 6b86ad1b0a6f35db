package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"mayfly/internal/canary"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// CanaryLeft is the id of the finding that a canary could not be removed.
const CanaryLeft = "canary-left"

const (
	// canaryImage is what stands for the image's name in the marker of a canary. The fleet takes no VM with such a marker for a runner.
	canaryImage = "canary"
	// canaryDead is when one that is still there belongs to nobody any more: a full clone and a boot take less.
	canaryDead = 2 * time.Hour
	// clearPatience bounds its removal, also when ctx has ended.
	clearPatience = 5 * time.Minute
)

// canaries tries each template with a clone of its own, and removes what earlier ones have left.
func (c *checker) canaries(ctx context.Context) {
	if c.Canary == nil || c.resources == nil || !c.wants(Run) {
		return
	}
	for _, r := range c.resources {
		if r.Type != "qemu" || r.VMID < c.Config.VMIDs.Start || r.VMID > c.Config.VMIDs.End {
			continue
		}
		cfg, err := c.Proxmox.VMConfig(ctx, r.Node, r.VMID)
		if m, ours := c.canaryOf(cfg, r.VMID); err == nil && ours && time.Since(m.Created) > canaryDead {
			if err := c.clear(ctx, r.Node, r.VMID, m.Version, ""); err != nil {
				c.tell("canary", Warning, fmt.Sprintf("canary %d of an earlier check", r.VMID), err.Error(), fmt.Sprintf("on node %s: qm stop %d; qm destroy %d", r.Node, r.VMID, r.VMID))
			}
		}
	}
	for _, t := range c.templates {
		if ctx.Err() != nil {
			return
		}
		c.canary(ctx, t)
	}
}

// canary tries one template.
func (c *checker) canary(ctx context.Context, t template) {
	const id = "canary"
	what := "canary of " + t.String()
	switch {
	case !t.found || t.err != nil || t.lock != "":
		return // that has a finding of its own
	case !t.cfg.AgentEnabled:
		c.tell(id, Unseen, what, "can't be asked: the template has no guest agent", fmt.Sprintf("on the node: qm set %d --agent enabled=1", t.id))
		return
	}
	at := slices.IndexFunc(c.Config.Pools, func(p runner.Pool) bool { return p.Base() == t.base })
	pool, version := c.Config.Pools[at], runner.NewVersion(time.Now(), 0)
	began := time.Now()
	var vmid int
	var task proxmox.UPID
	marker := func(vmid int) runner.BuildMarker {
		return runner.BuildMarker{Installation: c.Config.Installation, Image: canaryImage, Version: version, VMID: vmid, Created: began}
	}
	_, g, err := c.Canary.Boot(ctx, canary.Trial{
		Node: c.Config.Proxmox.Node, Template: t.id, Name: fmt.Sprintf("mayfly-canary-%d", t.id), Pool: c.Config.Proxmox.ResourcePool, Storage: pool.Storage, Full: pool.FullClone,
		Allot: c.canaryID(), Notes: func(vmid int) string { return marker(vmid).Description() },
		Began: func(v int, upid proxmox.UPID) {
			if vmid, task = v, upid; upid == "" && c.Say != nil {
				c.Say(fmt.Sprintf("clones %s to VM %d, boots it, and destroys it again", t, v))
			}
		},
	})
	took := time.Since(began).Round(time.Second)
	left := c.clear(ctx, c.Config.Proxmox.Node, vmid, version, task)
	switch {
	case err != nil:
		c.tell(id, Error, what, err.Error(), c.unfit(t, err))
	default:
		c.ok(id, what, fmt.Sprintf("VM %d was ready %s after its clone began%s", vmid, took, c.says(g)))
	}
	if left != nil {
		c.tell(CanaryLeft, Error, fmt.Sprintf("canary %d", vmid), left.Error(), fmt.Sprintf("on node %s: qm unlock %d; qm stop %d; qm destroy %d", c.Config.Proxmox.Node, vmid, vmid, vmid))
	}
}

// says is what the guest told of itself.
func (c *checker) says(g handoff.Guest) string {
	words := fmt.Sprintf(": run-once contract %d, Actions runner %s", g.Contract, g.RunnerVersion)
	if c.latest != "" && c.latest != g.RunnerVersion {
		words += ", GitHub's latest is " + c.latest
	}
	return words
}

// unfit is what to do about a canary that failed.
func (c *checker) unfit(t template, err error) string {
	build := "make the template anew: PROXMOX_SETUP.md, section 6"
	if t.image != nil {
		build = "mayfly image build " + t.image.Name
	}
	if errors.Is(err, canary.ErrUnfit) {
		return fmt.Sprintf("%s; to look at it: on the node, qm clone %d NEWID, qm start NEWID, then its console", build, t.id)
	}
	return "mend what Proxmox says, then mayfly check --canary again"
}

// canaryID gives VMIDs from the end of the runners' range, where a dispatcher that runs comes last.
func (c *checker) canaryID() func(context.Context) (int, error) {
	next := c.Config.VMIDs.End
	return func(ctx context.Context) (int, error) {
		for ; next >= c.Config.VMIDs.Start; next-- {
			if slices.ContainsFunc(c.resources, func(r proxmox.Resource) bool { return r.VMID == next }) {
				continue
			}
			if free, err := c.Proxmox.VMIDFree(ctx, next); err != nil || free {
				next--
				return next + 1, err
			}
		}
		return 0, fmt.Errorf("find a VMID: all from %d to %d are taken; widen RUNNER_ID_START and RUNNER_ID_END (vmids)", c.Config.VMIDs.Start, c.Config.VMIDs.End)
	}
}

// canaryOf reads the marker of a canary of this installation.
func (c *checker) canaryOf(cfg proxmox.VMConfig, vmid int) (runner.BuildMarker, bool) {
	m, err := runner.ParseBuildMarker(cfg.Description)
	return m, err == nil && !cfg.Template && m.Installation == c.Config.Installation && m.Image == canaryImage && m.VMID == vmid
}

// clear ends what makes the canary, and removes it if it is there and provably that one. It has a time of its own: ctx may be over.
func (c *checker) clear(ctx context.Context, node string, vmid int, version string, task proxmox.UPID) error {
	if vmid == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearPatience)
	defer cancel()
	api := c.Canary.Proxmox
	if task != "" && c.Canary.Makes(ctx, task, vmid) {
		if st, err := api.TaskStatus(ctx, task); err == nil && st.Running {
			if err := api.StopTask(ctx, task); err != nil {
				return fmt.Errorf("stop the clone of VM %d: %w", vmid, err)
			}
		}
		_ = api.WaitTask(ctx, task) // however it ends; a clone that is stopped cleans up after itself
	}
	cfg, err := api.VMConfig(ctx, node, vmid)
	if errors.Is(err, proxmox.NotFound) || errors.Is(err, proxmox.Permission) {
		free, err := api.VMIDFree(ctx, vmid)
		if err == nil && !free {
			err = errors.New("it is there and the token doesn't see it")
		}
		return leftBehind(vmid, err)
	}
	if err != nil {
		return leftBehind(vmid, err)
	}
	if m, ours := c.canaryOf(cfg, vmid); !ours || m.Version != version {
		return nil // somebody else's, which took the VMID
	}
	if cfg.Lock != "" {
		return leftBehind(vmid, fmt.Errorf("it is locked (%s)", cfg.Lock))
	}
	if cfg.Protection { // inherited
		if err := api.SetConfig(ctx, node, vmid, map[string]string{"protection": "0"}, nil, cfg.Digest); err != nil {
			return leftBehind(vmid, err)
		}
	}
	return leftBehind(vmid, c.Canary.Remove(ctx, node, vmid))
}

func leftBehind(vmid int, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("VM %d is left behind: %w", vmid, err)
}
