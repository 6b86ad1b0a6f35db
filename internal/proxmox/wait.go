package proxmox

import (
	"context"
	"errors"
)

// WaitTask waits until a task has ended and returns what [Client.TaskError] makes of it. Reads that fail for a while
// are ridden out until ctx ends; then the task may still go on, which is MaybeHappened with ctx's error as cause.
func (c *Client) WaitTask(ctx context.Context, upid UPID) error {
	wait := firstPoll
	var last error
	for {
		st, err := c.TaskStatus(ctx, upid)
		switch {
		case err == nil && !st.Running:
			return c.TaskError(ctx, upid, st.ExitStatus)
		case err != nil && !errors.Is(err, Unavailable) && !errors.Is(err, Busy):
			return err
		case ctx.Err() == nil:
			last = err
		}
		if !pause(ctx, wait) {
			e := &Error{
				Kind: MaybeHappened, Op: "wait for " + taskOp(upid), Message: "it hasn't ended in time", Cause: ctx.Err(),
				Hint: "it may still go on: look at its status",
			}
			if last != nil {
				e.Message = "its end can't be seen: " + last.Error()
			}
			return e
		}
		wait = min(2*wait, longestPoll)
	}
}
