package canary

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
)

const (
	// bootPatience bounds the clone's boot, as pools' boot_timeout does; a slow first boot gets twice as long.
	bootPatience = 10 * time.Minute
	// poll is how often it is probed.
	poll = 10 * time.Second
	// copyPatience bounds a full clone, which copies the whole disk.
	copyPatience = time.Hour
)

// ErrUnfit says that guests of the template can't become runners.
var ErrUnfit = errors.New("its clone is no runner")

// Trial is one template to try.
type Trial struct {
	Node     string
	Template int
	// Name is the clone's, Pool its resource pool ("" for none), Storage where a full clone goes ("" for the template's).
	Name, Pool, Storage string
	// Full copies the disk. Without it the clone is linked, and full only where the storage has no linked clones.
	Full bool
	// Allot gives a VMID that nobody has; it is asked again when somebody was faster.
	Allot func(ctx context.Context) (int, error)
	// Notes are the clone's, which tell whose it is.
	Notes func(vmid int) string
	// Began, if set, hears of the clone's VMID and of the task that makes it; the task is "" before it has begun.
	Began func(vmid int, task proxmox.UPID)
}

// Boot makes the clone, boots it and waits until the guest says that it may take an identity. The clone stays, also after an error: its
// VMID is returned, or 0 where there is none.
func (a Orders) Boot(ctx context.Context, t Trial) (int, handoff.Guest, error) {
	id, err := a.clone(ctx, t)
	if err != nil {
		return id, handoff.Guest{}, fmt.Errorf("clone VM %d: %w", t.Template, err)
	}
	if err := a.Start(ctx, t.Node, id); err != nil {
		return id, handoff.Guest{}, fmt.Errorf("start clone %d: %w", id, err)
	}
	g, err := a.probe(ctx, t.Node, id)
	return id, g, err
}

// Remove stops and destroys the clone.
func (a Orders) Remove(ctx context.Context, node string, vmid int) error {
	if err := a.Power(ctx, node, vmid, "qmstop", a.Proxmox.Stop); err != nil && !errors.Is(err, proxmox.NotFound) {
		return fmt.Errorf("stop clone %d: %w", vmid, err)
	}
	if err := a.Power(ctx, node, vmid, "qmdestroy", a.Proxmox.Delete); err != nil && !errors.Is(err, proxmox.NotFound) {
		return fmt.Errorf("destroy clone %d: %w", vmid, err)
	}
	return nil
}

// clone makes the clone: linked, as runners are, or full where the storage has no linked clones.
func (a Orders) clone(ctx context.Context, t Trial) (int, error) {
	began := t.Began
	if began == nil {
		began = func(int, proxmox.UPID) {}
	}
	full := t.Full
	for {
		id, err := t.Allot(ctx)
		if err != nil {
			return 0, err
		}
		o := proxmox.CloneOptions{NewID: id, Name: t.Name, Description: t.Notes(id), Pool: t.Pool, Full: full}
		if full {
			o.Storage = t.Storage
		}
		began(id, "")
		err = a.Do(ctx, Order{
			Node: t.Node, Type: "qmclone", ID: strconv.Itoa(t.Template), Patience: copyPatience,
			Send:  func(ctx context.Context) (proxmox.UPID, error) { return a.Proxmox.Clone(ctx, t.Node, t.Template, o) },
			Watch: func(_ context.Context, task proxmox.UPID) { began(id, task) },
			Is:    func(ctx context.Context, task proxmox.UPID) bool { return a.Makes(ctx, task, id) },
		})
		switch {
		case err == nil:
			return id, nil
		case errors.Is(err, proxmox.Exists):
		case errors.Is(err, proxmox.BadParameter) && !full:
			full = true // "Linked clone feature is not supported"
		default:
			return id, err
		}
	}
}

// Makes reports whether a qmclone task makes that VM: its first line says so (qemu-server API2/Qemu.pm: "create full clone of …",
// "creating a clone of VM 9000 with ID 201").
func (a Orders) Makes(ctx context.Context, task proxmox.UPID, vmid int) bool {
	lines, err := a.Proxmox.TaskLog(ctx, task, 0, 1)
	return err == nil && len(lines) > 0 && strings.HasSuffix(strings.TrimSpace(lines[0]), "with ID "+strconv.Itoa(vmid))
}

// probe waits until the clone says that it may take an identity.
func (a Orders) probe(ctx context.Context, node string, id int) (handoff.Guest, error) {
	agent := handoff.NewAgent(a.Proxmox, handoff.AgentOptions{})
	until := time.Now().Add(bootPatience)
	for {
		g, err := agent.Probe(ctx, handoff.VM{Node: node, VMID: id})
		switch {
		case err == nil && g.State != handoff.Ready:
			return g, fmt.Errorf("%w: it says %q, not that it is ready", ErrUnfit, g.State)
		case err == nil:
			return g, nil
		case ctx.Err() != nil:
			return handoff.Guest{}, context.Cause(ctx)
		case errors.Is(err, handoff.ErrImage):
			return handoff.Guest{}, fmt.Errorf("%w: %w", ErrUnfit, err)
		case time.Now().After(until):
			return handoff.Guest{}, fmt.Errorf("%w: clone %d wasn't ready %s after its start: %w", ErrUnfit, id, bootPatience, err)
		}
		if st, err := a.Proxmox.VMStatus(ctx, node, id); err == nil && st.Status == "stopped" {
			return handoff.Guest{}, fmt.Errorf("%w: clone %d powered off by itself before it was ready", ErrUnfit, id)
		}
		if !Pause(ctx, poll) {
			return handoff.Guest{}, context.Cause(ctx)
		}
	}
}

// Power starts, stops or destroys a VM.
func (a Orders) Power(ctx context.Context, node string, vmid int, typ string, send func(context.Context, string, int) (proxmox.UPID, error)) error {
	return a.Do(ctx, Order{
		Node: node, Type: typ, ID: strconv.Itoa(vmid),
		Send: func(ctx context.Context) (proxmox.UPID, error) { return send(ctx, node, vmid) },
	})
}

// Start starts a VM; one that runs already is as good.
func (a Orders) Start(ctx context.Context, node string, vmid int) error {
	err := a.Power(ctx, node, vmid, "qmstart", a.Proxmox.Start)
	if errors.Is(err, proxmox.Exists) {
		return nil // a lost reply: it runs
	}
	return err
}
