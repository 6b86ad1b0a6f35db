package bootstrap

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// back undoes what was done, also after ctx has ended: the new container goes, the old one serves again. Its error says
// what is left to do by hand.
func (w *work) back(ctx context.Context) error {
	if !w.created && !w.oldStopped && !w.oldOffHA {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	vmid := w.Container.VMID
	if w.created {
		w.say("stop container %d", vmid)
		switch err := w.bounded(ctx, func(ctx context.Context) error { return w.cut(ctx, vmid) }); {
		case err != nil && w.gone(ctx):
			w.created = false
		case err != nil: // two dispatchers with one address must not run
			return fmt.Errorf("container %d is left behind, and may run: %w; on node %s run: %s", vmid, err, w.Node, w.byHand())
		}
	}
	var failed error
	keep := false // the new container holds the state
	if w.stateGone && w.created {
		if err := w.bounded(ctx, w.stateBack); err != nil {
			keep, failed = true, fmt.Errorf("the state is left in container %d: %w", vmid, err)
		}
	}
	if w.Old != nil && (w.oldStopped || w.oldOffHA) {
		failed = also(failed, w.bounded(ctx, w.oldAgain))
	}
	if w.created && !keep {
		w.say("destroy container %d", vmid)
		if err := w.bounded(ctx, func(ctx context.Context) error { return w.destroy(ctx, vmid) }); err != nil && !w.gone(ctx) {
			failed = also(failed, fmt.Errorf("container %d is left behind: %w", vmid, err))
		}
	}
	return failed
}

// byHand are the commands that remove the new container and bring the old one back.
func (w *work) byHand() string {
	vmid := w.Container.VMID
	if w.Old == nil || !w.oldStopped {
		return fmt.Sprintf("pct destroy %d --force", vmid)
	}
	move := ""
	if w.stateGone {
		move = fmt.Sprintf("pct move-volume %d %s --target-vmid %d; ", vmid, stateKey, w.Old.VMID)
	}
	return fmt.Sprintf("pct stop %d; %spct start %d; pct destroy %d", vmid, move, w.Old.VMID, vmid)
}

// gone reports whether the new container is provably not there: a token of the resource pool is only told that it may not
// see it.
func (w *work) gone(ctx context.Context) bool {
	free, err := w.api.VMIDFree(ctx, w.Container.VMID)
	return err == nil && free
}

// bounded gives a step of the clean-up its time.
func (w *work) bounded(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, tidying)
	defer cancel()
	return step(ctx)
}

// stateBack gives the old container its volume again, if the new one has got it.
func (w *work) stateBack(ctx context.Context) error {
	cfg, err := w.api.ContainerConfig(ctx, w.Node, w.Container.VMID)
	if err != nil {
		return err
	}
	if cfg.Values[stateKey] == "" {
		return nil
	}
	w.say("move the state of container %d to %d", w.Container.VMID, w.Old.VMID)
	return w.move(ctx, w.Container.VMID, w.Old.VMID)
}

// oldAgain has the old container serve as before.
func (w *work) oldAgain(ctx context.Context) error {
	vmid := w.Old.VMID
	if w.oldStopped && w.Old.Start {
		if err := w.startAgain(ctx, vmid); err != nil {
			return err
		}
	}
	if w.oldOffHA {
		w.say("add container %d to HA", vmid)
		if err := w.api.AddContainerToHA(ctx, vmid); err != nil {
			return notInHA(vmid, err)
		}
	}
	return nil
}

// startAgain starts the old container, if it was stopped indeed, and waits for its dispatcher's word.
func (w *work) startAgain(ctx context.Context, vmid int) error {
	up, err := w.api.ContainerRunning(ctx, w.Node, vmid)
	if err == nil && up {
		return nil
	}
	w.say("start container %d again", vmid)
	if err == nil {
		err = w.forget(ctx, vmid)
	}
	if err == nil {
		err = w.start(ctx, vmid)
	}
	if err != nil {
		return fmt.Errorf("container %d, the old one, is stopped: %w; on node %s run: pct start %d", vmid, err, w.Node, vmid)
	}
	if err := w.ready(ctx, vmid); err != nil {
		return fmt.Errorf("container %d, the old one, runs again, but: %w", vmid, err)
	}
	return nil
}

// forget takes away what the dispatcher in a container said of itself, so that its next word is a new one.
func (w *work) forget(ctx context.Context, vmid int) error {
	cfg, err := w.api.ContainerConfig(ctx, w.Node, vmid)
	if err != nil {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(cfg.Tags), func(tag string) bool { return tag == TagReady || tag == TagFailed })
	if len(rest) == len(cfg.Tags) {
		return nil
	}
	return w.setConfig(ctx, vmid, map[string]string{"tags": strings.Join(rest, ";")})
}
