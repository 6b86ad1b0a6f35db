package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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

// Making is one container to make.
type Making struct {
	Node      string
	Container Container
	// Archive is the prepared template, Size bytes; it goes to TemplateStorage as TemplateName until the container is made.
	Archive                       io.ReaderAt
	Size                          int64
	TemplateStorage, TemplateName string
	// Secrets are what no error may repeat.
	Secrets []runner.Secret
	// Patience is how long the dispatcher has to say that it is ready, from the container's start on.
	Patience time.Duration
	// Say hears of each step, such as "start container 190"; nil for nobody.
	Say func(step string)
}

const (
	// look is how often the container is asked for its dispatcher's word.
	look = 2 * time.Second
	// tidying bounds the clean-up, also after ctx has ended.
	tidying = 2 * time.Minute
)

// Make uploads the template, makes and starts the container, and waits until the dispatcher inside says that it is ready.
// The template is deleted in every case; after an error, so is the container, unless the error says that it isn't. A
// VMID that is taken is [proxmox.Exists], and what has it is left alone.
func Make(ctx context.Context, api *proxmox.Client, m Making) (err error) {
	vmid, volume := m.Container.VMID, m.TemplateStorage+":vztmpl/"+m.TemplateName
	m.say("upload %s", volume)
	upid, err := api.Upload(ctx, m.Node, proxmox.Upload{
		Storage: m.TemplateStorage, Content: "vztmpl", Name: m.TemplateName, Body: m.Archive, Size: m.Size, Secrets: m.Secrets,
	})
	if finish := ended(ctx, api, upid, err); finish != nil {
		if errors.Is(finish, proxmox.MaybeHappened) || errors.Is(finish, proxmox.TaskFailed) {
			finish = also(finish, m.removeTemplate(ctx, api, volume))
		}
		return finish
	}
	defer func() { err = also(err, m.removeTemplate(ctx, api, volume)) }()

	m.say("create container %d", vmid)
	upid, err = api.CreateContainer(ctx, m.Node, m.Container.Creation(volume))
	if err := ended(ctx, api, upid, err); err != nil {
		if upid == "" || !errors.Is(err, proxmox.MaybeHappened) {
			return err // Proxmox cleans up after a creation that fails
		}
		return also(err, m.removeContainer(ctx, api))
	}
	m.say("start container %d", vmid)
	upid, err = api.StartContainer(ctx, m.Node, vmid)
	if err := ended(ctx, api, upid, err); err != nil {
		return also(err, m.removeContainer(ctx, api))
	}
	m.say("wait for the dispatcher in container %d", vmid)
	if err := m.ready(ctx, api); err != nil {
		return also(err, m.removeContainer(ctx, api))
	}
	return nil
}

func (m *Making) say(format string, args ...any) {
	if m.Say != nil {
		m.Say(fmt.Sprintf(format, args...))
	}
}

// ended waits for the task of a call that went well.
func ended(ctx context.Context, api *proxmox.Client, upid proxmox.UPID, err error) error {
	if err != nil {
		return err
	}
	return api.WaitTask(ctx, upid)
}

// ready waits for the dispatcher's word.
func (m *Making) ready(ctx context.Context, api *proxmox.Client) error {
	ctx, cancel := context.WithTimeout(ctx, m.Patience)
	defer cancel()
	for {
		cfg, err := api.ContainerConfig(ctx, m.Node, m.Container.VMID)
		switch {
		case err != nil && ctx.Err() == nil && !errors.Is(err, proxmox.Unavailable):
			return err
		case err == nil && slices.Contains(cfg.Tags, TagFailed):
			reason, _ := splitReason(cfg.Description)
			return fmt.Errorf("wait for the dispatcher in container %d: it can't start: %s", m.Container.VMID, oneLine(reason))
		case err == nil && slices.Contains(cfg.Tags, TagReady):
			return nil
		}
		timer := time.NewTimer(look)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for the dispatcher in container %d: no word of it within %s; check that it reaches Proxmox VE's API from %s: %w",
				m.Container.VMID, m.Patience, m.Container.Bridge, ctx.Err())
		}
	}
}

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

// removeTemplate deletes the one-off template, also after ctx has ended.
func (m *Making) removeTemplate(ctx context.Context, api *proxmox.Client, volume string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidying)
	defer cancel()
	m.say("delete %s", volume)
	upid, err := api.DeleteVolume(ctx, m.Node, volume)
	if err := ended(ctx, api, upid, err); err != nil {
		return fmt.Errorf("%s is left behind: %w", volume, err)
	}
	return nil
}

// removeContainer stops and destroys the container that Make made, also after ctx has ended.
func (m *Making) removeContainer(ctx context.Context, api *proxmox.Client) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidying)
	defer cancel()
	vmid := m.Container.VMID
	m.say("destroy container %d", vmid)
	running, err := api.ContainerRunning(ctx, m.Node, vmid)
	if err == nil && running {
		var upid proxmox.UPID
		upid, err = api.StopContainer(ctx, m.Node, vmid)
		err = ended(ctx, api, upid, err)
	}
	if err == nil {
		var upid proxmox.UPID
		upid, err = api.DeleteContainer(ctx, m.Node, vmid)
		err = ended(ctx, api, upid, err)
	}
	if err != nil {
		return fmt.Errorf("container %d is left behind: %w", vmid, err)
	}
	return nil
}
