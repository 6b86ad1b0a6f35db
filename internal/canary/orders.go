package canary

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
	// BusyPause is how long to wait before an order is given again that met somebody else's lock. Proxmox itself has waited for it already.
	BusyPause = 5 * time.Second
	// BusyTries is how often it is given.
	BusyTries = 5
	// ShortTask bounds tasks that move no data: start, stop, template, removal. A storage may be slow.
	ShortTask = 5 * time.Minute
)

// Orders gives orders to Proxmox VE and follows them to their end.
type Orders struct {
	Proxmox *proxmox.Client
	// TokenID is the token that the client uses, "user@realm!name": its tasks are ours.
	TokenID string
}

// Order is something to be done in a task.
type Order struct {
	Node string
	// Type and ID are the task's, so that it can be found when the reply gets lost; ID "" is any.
	Type, ID string
	// Patience bounds the task; 0 is enough for one that moves no data.
	Patience time.Duration
	Send     func(ctx context.Context) (proxmox.UPID, error)
	// Watch, if set, hears of the task as long as it runs, in a goroutine that Do waits for.
	Watch func(ctx context.Context, task proxmox.UPID)
	// Is, if set, tells whether a task that looks like the lost one is it.
	Is func(ctx context.Context, task proxmox.UPID) bool
}

// Do gives an order and waits for the end of its task. A request is never cut off by ctx: what was sent may happen, and
// must then be known; the client bounds it. Waiting ends with ctx.
func (a Orders) Do(ctx context.Context, o Order) error {
	for try := 1; ; try++ {
		err := a.once(ctx, o)
		if !errors.Is(err, proxmox.Busy) || try == BusyTries {
			return err
		}
		if !Pause(ctx, BusyPause) {
			return context.Cause(ctx)
		}
	}
}

func (a Orders) once(ctx context.Context, o Order) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if o.Patience == 0 {
		o.Patience = ShortTask
	}
	began := time.Now()
	task, err := o.Send(context.WithoutCancel(ctx))
	if errors.Is(err, proxmox.MaybeHappened) {
		task, err = a.lost(ctx, o, began, err)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Patience)
	defer cancel()
	if o.Watch != nil {
		watching, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			o.Watch(watching, task)
		}()
		defer func() { stop(); <-ended }()
	}
	return a.Proxmox.WaitTask(ctx, task)
}

// lost finds the task of an order whose reply got lost. Without one it hasn't happened, as far as one can see.
func (a Orders) lost(ctx context.Context, o Order, began time.Time, lost error) (proxmox.UPID, error) {
	// Nodes' clocks differ from ours, by seconds where they are kept, so an older task of the same kind may be found:
	// no two orders of one type for one id are given within a minute.
	const skew = time.Minute
	for range looks {
		if !Pause(ctx, lookAgain) {
			return "", lost
		}
		tasks, err := a.Proxmox.Tasks(ctx, o.Node, proxmox.TaskFilter{Source: "all", Type: o.Type, Since: began.Add(-skew)})
		if err != nil {
			continue
		}
		for _, t := range tasks {
			if t.User == a.TokenID && (o.ID == "" || strings.Contains(t.ID, o.ID)) && (o.Is == nil || o.Is(ctx, t.UPID)) {
				return t.UPID, nil
			}
		}
	}
	return "", fmt.Errorf("%w; no task of it is to be seen", lost)
}

// Pause waits; false means that ctx ended first.
func Pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
