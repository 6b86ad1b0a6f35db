package image

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mayfly/internal/proxmox"
)

const (
	// lookAgain is how long to wait before a task is looked for whose order got no reply: by then it has begun.
	lookAgain = 2 * time.Second
	// looks is how often it is looked for.
	looks = 3
	// busyPause and busyTries ride out somebody else's lock: Proxmox itself has waited for it already.
	busyPause = 5 * time.Second
	busyTries = 5
	// shortTask bounds tasks that move no data: start, stop, template, removal. A storage may be slow.
	shortTask = 5 * time.Minute
)

// order is something to be done in a task.
type order struct {
	node string
	// typ and id are the task's, so that it can be found when the reply gets lost; id "" is any.
	typ, id  string
	patience time.Duration
	send     func(ctx context.Context) (proxmox.UPID, error)
	// watch, if set, hears of the task as long as it runs.
	watch func(ctx context.Context, task proxmox.UPID)
}

// do gives an order and waits for the end of its task. A request is never cut off by ctx: what was sent may happen, and
// must then be known; the client bounds it. Waiting ends with ctx.
func (b *Builder) do(ctx context.Context, o order) error {
	for try := 1; ; try++ {
		err := b.doOnce(ctx, o)
		if !errors.Is(err, proxmox.Busy) || try == busyTries {
			return err
		}
		if !pause(ctx, busyPause) {
			return context.Cause(ctx)
		}
	}
}

func (b *Builder) doOnce(ctx context.Context, o order) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if o.patience == 0 {
		o.patience = shortTask
	}
	began := time.Now()
	task, err := o.send(context.WithoutCancel(ctx))
	if errors.Is(err, proxmox.MaybeHappened) {
		task, err = b.lost(ctx, o, began, err)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.patience)
	defer cancel()
	if o.watch != nil {
		watching, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			o.watch(watching, task)
		}()
		defer func() { stop(); <-ended }()
	}
	return b.pve.WaitTask(ctx, task)
}

// lost finds the task of an order whose reply got lost. Without one it hasn't happened, as far as one can see.
func (b *Builder) lost(ctx context.Context, o order, began time.Time, lost error) (proxmox.UPID, error) {
	// Nodes' clocks differ from ours, by seconds where they are kept, so an older task of the same kind may be found:
	// no two orders of one type for one id are given within a minute.
	const skew = time.Minute
	for range looks {
		if !pause(ctx, lookAgain) {
			return "", lost
		}
		tasks, err := b.pve.Tasks(ctx, o.node, proxmox.TaskFilter{Source: "all", Type: o.typ, Since: began.Add(-skew)})
		if err != nil {
			continue
		}
		for _, t := range tasks {
			if t.User == b.spec.TokenID && (o.id == "" || strings.Contains(t.ID, o.id)) {
				return t.UPID, nil
			}
		}
	}
	return "", fmt.Errorf("%w; no task of it is to be seen", lost)
}

// set changes a VM's options. Repeating it is harmless, so a lost reply is answered by that.
func (b *Builder) set(ctx context.Context, node string, vmid int, set map[string]string, del []string) error {
	for try := 1; ; try++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := b.pve.SetConfig(context.WithoutCancel(ctx), node, vmid, set, del, "")
		again := errors.Is(err, proxmox.Busy) || errors.Is(err, proxmox.MaybeHappened)
		if !again || try == busyTries {
			return err
		}
		if !pause(ctx, busyPause) {
			return context.Cause(ctx)
		}
	}
}

// pause waits; false means that ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
