package fleet

import (
	"context"
	"errors"
	"time"

	"mayfly/internal/proxmox"
)

// taskSlack is how far before our request a task may seem to have started: whole seconds, and a clock that moves while we ask.
const taskSlack = 10 * time.Second

// order asks for something that Proxmox does to a VM in a task of the given type, and waits for the task. Where the
// reply was lost, the node's tasks tell whether it was heard: then that task is waited for, and nothing is asked twice.
func (c *Controller) order(ctx context.Context, a action, typ string, ask func(ctx context.Context, node string, vmid int) (proxmox.UPID, error)) error {
	asked := time.Now()
	upid, err := ask(ctx, a.node, a.vmid)
	if errors.Is(err, proxmox.MaybeHappened) {
		upid, err = c.findTask(ctx, a, typ, asked, err)
	}
	if err != nil {
		return err
	}
	return c.tasks.wait(ctx, upid)
}

// findTask looks for our newest task of that type on the VM. lost is the error of the request, and what is returned
// when no task came of it.
func (c *Controller) findTask(ctx context.Context, a action, typ string, asked time.Time, lost error) (proxmox.UPID, error) {
	for {
		list, err := c.pve.Tasks(ctx, a.node, proxmox.TaskFilter{
			Since: c.pve.NodeTime(asked).Add(-taskSlack), Type: typ, VMID: a.vmid, Source: "all", Limit: taskLimit,
		})
		if err == nil {
			for _, t := range list { // newest first
				if c.spec.Token == "" || t.UPID.User() == c.spec.Token {
					return t.UPID, nil
				}
			}
			return "", lost
		}
		select {
		case <-ctx.Done():
			return "", lost
		case <-time.After(c.spec.Timing.TaskPoll):
		}
	}
}
