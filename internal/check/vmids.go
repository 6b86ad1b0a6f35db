package check

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"mayfly/internal/fleet"
	"mayfly/internal/proxmox"
)

// mostAsked bounds how many VMIDs are asked for one by one: guests that the token doesn't see show in no list.
const mostAsked = 200

// vmids looks at who is in the range of runners.
func (c *checker) vmids(ctx context.Context) {
	if !c.wants(Run) || c.resources == nil {
		return
	}
	r := c.Config.VMIDs
	what := fmt.Sprintf("VMIDs %d to %d", r.Start, r.End)
	var foreign, hidden []string
	seen := map[int]bool{}
	for _, g := range c.resources {
		if g.VMID < r.Start || g.VMID > r.End {
			continue
		}
		seen[g.VMID] = true
		if err := c.claim(ctx, g); err != nil && !errors.Is(err, proxmox.NotFound) { // one that is gone by now is no matter
			foreign = append(foreign, fmt.Sprintf("%d (%s)", g.VMID, err))
		}
	}
	for id := r.Start; id <= r.End && id < r.Start+mostAsked; id++ {
		if seen[id] {
			continue
		}
		free, err := c.Proxmox.VMIDFree(ctx, id)
		if err != nil {
			c.tell("vmid-range", Warning, what, err.Error(), "on a node: pvesh get /cluster/nextid --vmid "+strconv.Itoa(id))
			break
		}
		if !free {
			hidden = append(hidden, strconv.Itoa(id))
		}
	}
	if len(foreign) > 0 {
		c.tell("vmid-unclaimed", Warning, what, "hold VMs that aren't this installation's; they are never touched: "+strings.Join(foreign, ", "),
			"give runners a range that nobody uses: RUNNER_ID_START and RUNNER_ID_END (vmids)")
	}
	if len(hidden) > 0 {
		c.tell("vmid-clash", Warning, what, "are in part taken by guests that this token doesn't see: "+strings.Join(hidden, ", "), "give runners a range that nobody uses: RUNNER_ID_START and RUNNER_ID_END (vmids)")
	}
	c.room(what, r.Size()-len(foreign)-len(hidden), len(foreign)+len(hidden))
}

// claim is the ownership rule, on what is there now.
func (c *checker) claim(ctx context.Context, g proxmox.Resource) error {
	if g.Type != "qemu" {
		return errors.New("a container")
	}
	cfg, err := c.Proxmox.VMConfig(ctx, g.Node, g.VMID)
	if err != nil {
		return err
	}
	spec := fleet.Spec{Installation: c.Config.Installation, ResourcePool: c.Config.Proxmox.ResourcePool, VMIDs: fleet.Range(c.Config.VMIDs)}
	_, err = fleet.Claim(spec, g.VMID, cfg, g.Pool)
	return err
}

// room looks whether the range is large enough: a VMID whose VM can't be destroyed is set aside.
func (c *checker) room(what string, free, taken int) {
	most := c.Config.MaxRunners
	cure := "set RUNNER_ID_START and RUNNER_ID_END (vmids) further apart, or MAX_TOTAL_RUNNERS (max_runners) lower"
	switch {
	case free <= 0:
		c.tell("vmid-range", Error, what, "are all taken: no runner can be made", cure)
	case free < most:
		c.tell("vmid-range", Warning, what, fmt.Sprintf("leave %d for up to %d runners", free, most), cure)
	case taken == 0:
		c.ok("vmid-range", what, fmt.Sprintf("are free or this installation's, enough for max_runners (%d)", most))
	}
}
