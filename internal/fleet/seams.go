package fleet

import (
	"context"
	"time"

	"mayfly/internal/cloudinit"
	"mayfly/internal/github"
	"mayfly/internal/handoff"
	"mayfly/internal/proxmox"
	"mayfly/internal/runner"
)

// Inventory is how the controller sees what Proxmox has.
type Inventory interface {
	Resources(ctx context.Context) ([]proxmox.Resource, error)
	NodeVMs(ctx context.Context, node string) ([]proxmox.NodeVM, error)
	VMConfig(ctx context.Context, node string, vmid int) (proxmox.VMConfig, error)
	VMIDFree(ctx context.Context, vmid int) (bool, error)
}

// Maker makes VMs and shapes them.
type Maker interface {
	Clone(ctx context.Context, node string, template int, o proxmox.CloneOptions) (proxmox.UPID, error)
	SetConfig(ctx context.Context, node string, vmid int, set map[string]string, del []string, digest string) error
	Resize(ctx context.Context, node string, vmid int, disk string, size runner.Bytes) (proxmox.UPID, error)
}

// Power starts and ends VMs.
type Power interface {
	Start(ctx context.Context, node string, vmid int) (proxmox.UPID, error)
	Stop(ctx context.Context, node string, vmid int) (proxmox.UPID, error)
	Delete(ctx context.Context, node string, vmid int) (proxmox.UPID, error)
}

// Tasks tells how Proxmox's tasks go.
type Tasks interface {
	Tasks(ctx context.Context, node string, f proxmox.TaskFilter) ([]proxmox.Task, error)
	TaskLog(ctx context.Context, upid proxmox.UPID, start, limit int) ([]string, error)
	// NodeTime turns a time of ours into one of the nodes' clocks, which tasks are dated by.
	NodeTime(t time.Time) time.Time
	TaskError(ctx context.Context, upid proxmox.UPID, exit string) error
}

// Storage shows what lies on storages, and takes it away.
type Storage interface {
	Volumes(ctx context.Context, node, storage, content string) ([]proxmox.Volume, error)
	DeleteVolume(ctx context.Context, node, id string) (proxmox.UPID, error)
}

// Rights tells what the token may, and what the storages take.
type Rights interface {
	Permissions(ctx context.Context) (map[string]map[string]bool, error)
	Storages(ctx context.Context, node string) ([]proxmox.Storage, error)
}

// Proxmox is all that the controller asks of a Proxmox client.
type Proxmox interface {
	Rights
	Inventory
	Maker
	Power
	Tasks
	Storage
}

// Registrar is where runners are registered.
type Registrar interface {
	Runners(ctx context.Context, t runner.Target) ([]runner.Registration, error)
	Runner(ctx context.Context, t runner.Target, id int64) (runner.Registration, error)
	RunnerByName(ctx context.Context, t runner.Target, name string) (runner.Registration, error)
	RemoveRunner(ctx context.Context, t runner.Target, id int64) error
}

// Minter makes identities.
type Minter interface {
	CreateJITConfig(ctx context.Context, t runner.Target, name string, labels []string, groupID int64) (runner.Identity, error)
	CreateRegistrationToken(ctx context.Context, t runner.Target) (github.RegistrationToken, error)
}

// GitHub is all that the controller asks of a GitHub client; jobs come from a demand source.
type GitHub interface {
	Registrar
	Minter
}

// Handoff gets identities into guests; package handoff has the ways.
type Handoff interface {
	Probe(ctx context.Context, vm handoff.VM) (handoff.Guest, error)
	Deliver(ctx context.Context, vm handoff.VM, o handoff.Order, id runner.Identity) error
	Result(ctx context.Context, vm handoff.VM) (runner.Result, bool, error)
	About(ctx context.Context, vm handoff.VM) (handoff.About, error)
}

// Seeder gets identities into guests before they start, in their user-data; handoff.Snippet and handoff.ISO are two.
type Seeder interface {
	Needs() cloudinit.Needs
	// CheckVM refuses the config of a template, or of a VM, in which user-data would be ignored.
	CheckVM(config map[string]string) error
	Prepare(ctx context.Context, g handoff.SeedGuest, id handoff.SeedIdentity) (map[string]string, error)
	// Lasts reports whether the user-data has to stay until the guest has read it, else until its VM runs.
	Lasts() bool
	// Eject gives the config options that take it out of a running VM, none where it isn't in one.
	Eject(config map[string]string, name string) map[string]string
	Clear(ctx context.Context, name string) error
	Sweep(ctx context.Context, keep func(runner string) bool, olderThan time.Duration) ([]string, error)
}
