package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// What the dispatcher inside says of itself, by tags of its own container.
const (
	// TagReady says that it is ready for jobs.
	TagReady = "mayfly-ready"
	// TagFailed says that it can't be; the reason is the first line of the container's description.
	TagFailed = "mayfly-failed"
)

// The volume of the dispatcher's state, which outlives its containers.
const (
	// stateKey is its key in a container's config.
	stateKey = "mp0"
	// stateVolume is its size in GiB, and where it is mounted: systemd's place for the state of services whose user is their
	// own (DynamicUser=), of which the dispatcher's is a folder in it. The folder itself can't be the volume: Proxmox makes
	// it with mkfs.ext4 and root_owner=, which leaves lost+found to the node's root (pve-container LXC.pm, mkfs), and
	// systemd, which gives all in the folder to the service's user, fails at a file of nobody's.
	stateVolume = "%s:1,mp=" + stateMount + ",backup=1"
	stateMount  = "/var/lib/private"
)

// Making is one container to make.
type Making struct {
	Node      string
	Container Container
	// Old is the container that this one takes the place of; nil for none.
	Old *Old
	// Archive is the prepared template, Size bytes; it goes to TemplateStorage as TemplateName until the container is made.
	Archive                       io.ReaderAt
	Size                          int64
	TemplateStorage, TemplateName string
	// Secrets are what no error may repeat.
	Secrets []runner.Secret
	// Patience is how long the dispatcher has to say that it is ready, from the container's start on.
	Patience time.Duration
	// HA has Proxmox's HA manager keep the container.
	HA bool
	// Alone, if set, is asked when the new container is there and nothing else has changed yet: an error says that another
	// bootstrap is at work. Of two that made their containers at one time at least the later one sees the other's.
	Alone func(context.Context) error
	// Say hears of each step, such as "start container 190"; nil for nobody. Sent hears how much of the archive is sent.
	Say  func(step string)
	Sent func(bytes int64)
}

// Old is a dispatcher's container that another takes the place of.
type Old struct {
	VMID int
	// State says that it has the volume of the state.
	State bool
	// Start says that it is to run again if the new one doesn't come up.
	Start bool
	// HA says that the HA manager has it.
	HA bool
}

// lookEvery is how often the container is asked for its dispatcher's word.
const lookEvery = 2 * time.Second

// Make uploads the template, makes and starts the container, and waits until the dispatcher inside says that it is ready.
// The template is deleted in every case; after an error, so is the container, unless the error says that it isn't. A
// VMID that is taken is [proxmox.Exists], and what has it is left alone.
//
// An old container is stopped before the new one starts, gives it the volume of the state, and is destroyed when the new
// one is ready. If that doesn't come about it gets the volume back and is started again.
func Make(ctx context.Context, api *proxmox.Client, m Making) error {
	w := &work{Making: m, api: api}
	if err := w.create(ctx); err != nil {
		return also(err, w.back(ctx))
	}
	if err := w.change(ctx); err != nil {
		return also(err, w.back(ctx))
	}
	return w.settle(ctx)
}

// work is a making under way, and how far it is.
type work struct {
	Making
	api *proxmox.Client

	created    bool // the new container is there
	oldStopped bool
	oldOffHA   bool
	stateGone  bool // the old one's volume may be the new one's
}

func (w *work) say(format string, args ...any) {
	if w.Say != nil {
		w.Say(fmt.Sprintf(format, args...))
	}
}

// create makes the new container, stopped; the template comes and goes.
func (w *work) create(ctx context.Context) (err error) {
	volume := w.TemplateStorage + ":vztmpl/" + w.TemplateName
	w.say("upload %s", volume)
	err = w.upload(ctx)
	if err != nil && !errors.Is(err, proxmox.MaybeHappened) && !errors.Is(err, proxmox.TaskFailed) {
		return err
	}
	defer func() { err = also(err, w.removeTemplate(ctx, volume)) }()
	if err != nil {
		return err
	}
	w.say("create container %d", w.Container.VMID)
	err = w.order(ctx, "vzcreate", w.Container.VMID, func(ctx context.Context) (proxmox.UPID, error) {
		return w.api.CreateContainer(ctx, w.Node, w.Container.Creation(volume))
	})
	// Proxmox cleans up after a creation that fails, but not when it was killed, or couldn't add it to the resource pool.
	w.created = err == nil || errors.Is(err, proxmox.MaybeHappened) || errors.Is(err, proxmox.TaskFailed) && !w.gone(context.WithoutCancel(ctx))
	return err
}

// unfinished reports whether an order may have left something half done.
func unfinished(err error) bool {
	return errors.Is(err, proxmox.MaybeHappened) || errors.Is(err, proxmox.TaskFailed) && strings.Contains(err.Error(), "unexpected status")
}

// change gives the new container its state, starts it in the old one's place, and waits for its word.
func (w *work) change(ctx context.Context) error {
	vmid := w.Container.VMID
	if w.Alone != nil {
		if err := w.Alone(ctx); err != nil {
			return err
		}
	}
	if err := w.stopOld(ctx); err != nil {
		return err
	}
	if err := w.giveState(ctx); err != nil {
		return err
	}
	w.say("start container %d", vmid)
	if err := w.start(ctx, vmid); err != nil {
		if strings.Contains(err.Error(), "bridge '"+w.Container.Bridge+"' does not exist") {
			return fmt.Errorf("%w; set CT_BRIDGE to a bridge that node %s has", err, w.Node)
		}
		return err
	}
	w.say("wait for the dispatcher in container %d", vmid)
	if err := w.ready(ctx, vmid); err != nil {
		return err
	}
	return w.setConfig(ctx, vmid, map[string]string{"onboot": "1"})
}

// stopOld takes the old container out of service.
func (w *work) stopOld(ctx context.Context) error {
	if w.Old == nil {
		return nil
	}
	if w.Old.HA { // which would start it again
		w.say("remove container %d from HA", w.Old.VMID)
		if err := w.api.RemoveContainerFromHA(ctx, w.Old.VMID); err != nil {
			return err
		}
		w.oldOffHA = true
	}
	w.say("stop container %d", w.Old.VMID)
	w.oldStopped = true
	return w.stop(ctx, w.Old.VMID)
}

// giveState gives the new container the state's volume: the old one's, or a new one.
func (w *work) giveState(ctx context.Context) error {
	if w.Old != nil && w.Old.State {
		w.say("move the state of container %d to %d", w.Old.VMID, w.Container.VMID)
		w.stateGone = true
		return w.move(ctx, w.Old.VMID, w.Container.VMID)
	}
	w.say("make the state's volume of container %d", w.Container.VMID)
	return w.setConfig(ctx, w.Container.VMID, map[string]string{stateKey: fmt.Sprintf(stateVolume, w.Container.Storage)})
}

// settle ends what goes well: the new container serves, whatever happens now.
func (w *work) settle(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var err error
	if w.Old != nil {
		w.say("destroy container %d", w.Old.VMID)
		if e := w.destroy(ctx, w.Old.VMID); e != nil {
			err = fmt.Errorf("container %d, the old one, is left behind: %w", w.Old.VMID, e)
		}
	}
	if w.HA || w.oldOffHA {
		w.say("add container %d to HA", w.Container.VMID)
		if e := w.api.AddContainerToHA(ctx, w.Container.VMID); e != nil {
			err = also(err, notInHA(w.Container.VMID, e))
		}
	}
	return err
}

// notInHA says how to do what the token may not.
func notInHA(vmid int, err error) error {
	return fmt.Errorf("container %d serves, but isn't in HA: %w; on a node run: ha-manager add ct:%d --state started", vmid, err, vmid)
}

// ready waits for a dispatcher's word.
func (w *work) ready(told context.Context, vmid int) error {
	ctx, cancel := context.WithTimeout(told, w.Patience)
	defer cancel()
	for {
		cfg, err := w.api.ContainerConfig(ctx, w.Node, vmid)
		switch {
		case err != nil && ctx.Err() == nil && !errors.Is(err, proxmox.Unavailable):
			return err
		case err == nil && slices.Contains(cfg.Tags, TagFailed):
			reason, _ := splitReason(cfg.Description)
			return fmt.Errorf("wait for the dispatcher in container %d: it can't start: %s", vmid, oneLine(reason))
		case err == nil && slices.Contains(cfg.Tags, TagReady):
			return nil
		}
		if up, err := w.api.ContainerRunning(ctx, w.Node, vmid); err == nil && !up {
			return fmt.Errorf("wait for the dispatcher in container %d: the container has stopped; look at the system log of node %s", vmid, w.Node)
		}
		timer := time.NewTimer(lookEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if told.Err() != nil {
				return fmt.Errorf("wait for the dispatcher in container %d: %w", vmid, interrupted(told))
			}
			return fmt.Errorf("wait for the dispatcher in container %d: no word of it within %s; check that it reaches Proxmox VE's API from %s: %w",
				vmid, w.Patience, w.Container.Bridge, ctx.Err())
		}
	}
}

// interrupted is why a context ended, for people.
func interrupted(ctx context.Context) error { return fmt.Errorf("interrupted: %w", context.Cause(ctx)) }

// also is an error and what went wrong after it, on one line; either may be nil.
func also(err, after error) error {
	switch {
	case after == nil:
		return err
	case err == nil:
		return after
	}
	return fmt.Errorf("%w; then %w", err, after)
}
