package image

import (
	"context"
	"errors"
	"time"

	"mayfly/internal/canary"
	"mayfly/internal/proxmox"
)

// set changes a VM's options. Repeating it is harmless, so a lost reply is answered by that.
func (b *Builder) set(ctx context.Context, node string, vmid int, set map[string]string, del []string) error {
	for try := 1; ; try++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := b.pve.SetConfig(context.WithoutCancel(ctx), node, vmid, set, del, "")
		again := errors.Is(err, proxmox.Busy) || errors.Is(err, proxmox.MaybeHappened)
		if !again || try == canary.BusyTries {
			return err
		}
		if !pause(ctx, canary.BusyPause) {
			return context.Cause(ctx)
		}
	}
}

// pause waits; false means that ctx ended first.
func pause(ctx context.Context, d time.Duration) bool { return canary.Pause(ctx, d) }
