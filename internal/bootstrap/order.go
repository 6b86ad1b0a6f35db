package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mayfly/internal/proxmox"
)

const (
	// taskPatience bounds a task: unpacking the template to slow disks takes minutes.
	taskPatience = 15 * time.Minute
	// tidying bounds each step of a clean-up.
	tidying = 5 * time.Minute
	// searches is how often a task is looked for whose id was lost with the reply, searchEvery between two looks.
	searches    = 5
	searchEvery = 2 * time.Second
)

// order gives Proxmox an order on a container and sees it through: it returns when its task is over, also after ctx has
// ended. A reply that was lost is made good by looking for the task.
func (w *work) order(ctx context.Context, kind string, vmid int, send func(context.Context) (proxmox.UPID, error)) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", stepOf(kind, vmid), interrupted(ctx))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), taskPatience)
	defer cancel()
	before, unknown := w.tasks(ctx, kind, vmid) // to tell the new one from those
	upid, err := send(ctx)
	if errors.Is(err, proxmox.MaybeHappened) && unknown == nil {
		if upid = w.find(ctx, kind, vmid, before); upid == "" {
			return err
		}
		err = nil
	}
	if err != nil {
		return err
	}
	return w.api.WaitTask(ctx, upid)
}

// stepOf names an order that wasn't given.
func stepOf(kind string, vmid int) string {
	return map[string]string{
		"vzcreate": "create", "vzstart": "start", "vzstop": "stop", "vzshutdown": "shut down", "vzdestroy": "destroy", "move_volume": "move the state of",
	}[kind] + " container " + strconv.Itoa(vmid)
}

// tasks are the ids of a kind of task on a container, newest first.
func (w *work) tasks(ctx context.Context, kind string, vmid int) ([]proxmox.UPID, error) {
	list, err := w.api.Tasks(ctx, w.Node, proxmox.TaskFilter{Type: kind, Source: "all"})
	var ids []proxmox.UPID
	for _, t := range list {
		if id, _, _ := strings.Cut(t.ID, "-"); id == strconv.Itoa(vmid) { // "190-mp0>191-mp0" of a volume's move
			ids = append(ids, t.UPID)
		}
	}
	return ids, err
}

// find looks for a task that wasn't there before.
func (w *work) find(ctx context.Context, kind string, vmid int, before []proxmox.UPID) proxmox.UPID {
	for range searches {
		now, err := w.tasks(ctx, kind, vmid)
		for _, id := range now {
			if err == nil && !slices.Contains(before, id) {
				return id
			}
		}
		select {
		case <-time.After(searchEvery):
		case <-ctx.Done():
			return ""
		}
	}
	return ""
}

const (
	// uploads is how often the template is sent; a second time it replaces itself, and half a body begins nothing.
	uploads = 3
	// uploadAgain is between two attempts.
	uploadAgain = 5 * time.Second
)

// upload sends the template; unlike other orders it is cut off when ctx ends.
func (w *work) upload(ctx context.Context) error {
	var upid proxmox.UPID
	var err error
	for try := range uploads {
		if try > 0 {
			w.say("upload %s once more: %v", w.TemplateName, err)
			select {
			case <-time.After(uploadAgain):
			case <-ctx.Done():
				return err
			}
		}
		upid, err = w.api.Upload(ctx, w.Node, proxmox.Upload{
			Storage: w.TemplateStorage, Content: "vztmpl", Name: w.TemplateName, Body: w.Archive, Size: w.Size, Secrets: w.Secrets, Progress: w.Sent,
		})
		if err == nil || ctx.Err() != nil || !errors.Is(err, proxmox.MaybeHappened) && !errors.Is(err, proxmox.Unavailable) {
			break
		}
	}
	if errors.Is(err, proxmox.MaybeHappened) {
		return fmt.Errorf("%w; Proxmox also breaks off when /var/tmp of the node that is asked is full", err)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), taskPatience)
	defer cancel()
	return w.api.WaitTask(ctx, upid)
}

// removeTemplate deletes the one-off template, also after ctx has ended. Deleting what isn't there succeeds.
func (w *work) removeTemplate(ctx context.Context, volume string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidying)
	defer cancel()
	w.say("delete %s", volume)
	if err := deleteVolume(ctx, w.api, w.Node, volume); err != nil {
		return fmt.Errorf("%s is left behind: %w", volume, err)
	}
	return nil
}

// deleteVolume deletes a file, and once more when it can't be told whether that happened.
func deleteVolume(ctx context.Context, api *proxmox.Client, node, volume string) error {
	var err error
	for range 2 {
		var upid proxmox.UPID
		if upid, err = api.DeleteVolume(ctx, node, volume); err == nil {
			err = api.WaitTask(ctx, upid)
		}
		if err == nil || !unfinished(err) {
			return err
		}
	}
	return err
}

func (w *work) start(ctx context.Context, vmid int) error {
	err := w.order(ctx, "vzstart", vmid, func(ctx context.Context) (proxmox.UPID, error) { return w.api.StartContainer(ctx, w.Node, vmid) })
	if errors.Is(err, proxmox.Exists) { // it runs
		return nil
	}
	return err
}

// stop ends what runs in a container: asked first, so that steps under way end, and cut off when that takes too long.
func (w *work) stop(ctx context.Context, vmid int) error {
	if up, err := w.api.ContainerRunning(ctx, w.Node, vmid); err == nil && !up {
		return nil
	}
	err := w.order(ctx, "vzshutdown", vmid, func(ctx context.Context) (proxmox.UPID, error) { return w.api.ShutdownContainer(ctx, w.Node, vmid) })
	if err == nil || ctx.Err() != nil {
		return err
	}
	return w.cut(ctx, vmid)
}

// cut ends a container at once.
func (w *work) cut(ctx context.Context, vmid int) error {
	up, err := w.api.ContainerRunning(ctx, w.Node, vmid)
	if err != nil || !up {
		return err
	}
	return w.order(ctx, "vzstop", vmid, func(ctx context.Context) (proxmox.UPID, error) { return w.api.StopContainer(ctx, w.Node, vmid) })
}

// destroy removes a container that is stopped or to be stopped.
func (w *work) destroy(ctx context.Context, vmid int) error {
	if err := w.cut(ctx, vmid); err != nil {
		return err
	}
	return w.order(ctx, "vzdestroy", vmid, func(ctx context.Context) (proxmox.UPID, error) { return w.api.DeleteContainer(ctx, w.Node, vmid) })
}

// move gives the state's volume of one container to another.
func (w *work) move(ctx context.Context, from, to int) error {
	return w.order(ctx, "move_volume", from, func(ctx context.Context) (proxmox.UPID, error) {
		return w.api.MoveContainerVolume(ctx, w.Node, from, stateKey, to)
	})
}

// setConfig changes options of a container, and once more when it can't be told whether that happened: unlike an order it
// may be repeated.
func (w *work) setConfig(ctx context.Context, vmid int, set map[string]string) error {
	if ctx.Err() != nil {
		return fmt.Errorf("set up container %d: %w", vmid, interrupted(ctx))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidying)
	defer cancel()
	err := w.api.SetContainerConfig(ctx, w.Node, vmid, set, nil, "")
	if errors.Is(err, proxmox.MaybeHappened) {
		now, readErr := w.api.ContainerConfig(ctx, w.Node, vmid)
		_, has := now.Values[stateKey]
		if _, wanted := set[stateKey]; readErr == nil && wanted && has { // a second one would leave the first behind, unused
			return nil
		}
		err = w.api.SetContainerConfig(ctx, w.Node, vmid, set, nil, "")
	}
	return err
}
