package handoff

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"mayfly/internal/proxmox"
)

// aboutFile is where an image that our scripts made tells what it was made of (runners/common/provision.d).
const aboutFile = "/opt/actions-runner/mayfly.json"

// About is what an image tells of itself. Fields that it doesn't tell are zero.
type About struct {
	Image         string
	Version       string
	RunnerVersion string
	// RunnerReleased is the day on which GitHub published that release of the Actions runner.
	RunnerReleased time.Time
}

// About reads what the guest's image tells of itself; an image that has no such file tells nothing. Its error says that
// the guest couldn't be read, or that the file isn't what it should be.
func (a *Agent) About(ctx context.Context, vm VM) (About, error) {
	text, err := a.pve.AgentFileRead(ctx, vm.Node, vm.VMID, aboutFile)
	switch {
	case errors.Is(err, proxmox.NotFound):
		return About{}, nil
	case err != nil:
		return About{}, fmt.Errorf("read %s of VM %d: %w", aboutFile, vm.VMID, err)
	}
	var w struct {
		Image          string `json:"image"`
		Version        string `json:"version"`
		RunnerVersion  string `json:"runner_version"`
		RunnerReleased string `json:"runner_released"`
	}
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return About{}, fmt.Errorf("read %s of VM %d: %w", aboutFile, vm.VMID, err)
	}
	about := About{Image: w.Image, Version: w.Version, RunnerVersion: w.RunnerVersion}
	if w.RunnerReleased == "" {
		return about, nil
	}
	if about.RunnerReleased, err = time.Parse(time.DateOnly, w.RunnerReleased); err != nil {
		return About{}, fmt.Errorf("read %s of VM %d: runner_released %q: want a day like 2026-01-31", aboutFile, vm.VMID, w.RunnerReleased)
	}
	return about, nil
}
