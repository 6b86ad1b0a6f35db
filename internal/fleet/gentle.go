package fleet

import (
	"context"

	"golang.org/x/sync/semaphore"

	"mayfly/internal/proxmox"
)

// callsPerNode bounds our calls in flight to one node: three daemon workers serve everybody there.
const callsPerNode = 3

// gentle lets at most callsPerNode calls through at once.
type gentle struct {
	pve Proxmox
	sem *semaphore.Weighted
}

func newGentle(pve Proxmox) *gentle {
	return &gentle{pve: pve, sem: semaphore.NewWeighted(callsPerNode)}
}

// through makes one call when there is room for it.
func through[T any](ctx context.Context, g *gentle, call func() (T, error)) (T, error) {
	if err := g.sem.Acquire(ctx, 1); err != nil {
		var zero T
		return zero, err
	}
	defer g.sem.Release(1)
	return call()
}

func (g *gentle) Resources(ctx context.Context) ([]proxmox.Resource, error) {
	return through(ctx, g, func() ([]proxmox.Resource, error) { return g.pve.Resources(ctx) })
}

func (g *gentle) NodeVMs(ctx context.Context, node string) ([]proxmox.NodeVM, error) {
	return through(ctx, g, func() ([]proxmox.NodeVM, error) { return g.pve.NodeVMs(ctx, node) })
}

func (g *gentle) VMConfig(ctx context.Context, node string, vmid int) (proxmox.VMConfig, error) {
	return through(ctx, g, func() (proxmox.VMConfig, error) { return g.pve.VMConfig(ctx, node, vmid) })
}

func (g *gentle) VMIDFree(ctx context.Context, vmid int) (bool, error) {
	return through(ctx, g, func() (bool, error) { return g.pve.VMIDFree(ctx, vmid) })
}

func (g *gentle) Clone(ctx context.Context, node string, template int, o proxmox.CloneOptions) (proxmox.UPID, error) {
	return through(ctx, g, func() (proxmox.UPID, error) { return g.pve.Clone(ctx, node, template, o) })
}

func (g *gentle) SetConfig(ctx context.Context, node string, vmid int, set map[string]string, del []string, digest string) error {
	_, err := through(ctx, g, func() (struct{}, error) {
		return struct{}{}, g.pve.SetConfig(ctx, node, vmid, set, del, digest)
	})
	return err
}

func (g *gentle) Start(ctx context.Context, node string, vmid int) (proxmox.UPID, error) {
	return through(ctx, g, func() (proxmox.UPID, error) { return g.pve.Start(ctx, node, vmid) })
}

func (g *gentle) Stop(ctx context.Context, node string, vmid int) (proxmox.UPID, error) {
	return through(ctx, g, func() (proxmox.UPID, error) { return g.pve.Stop(ctx, node, vmid) })
}

func (g *gentle) Delete(ctx context.Context, node string, vmid int) (proxmox.UPID, error) {
	return through(ctx, g, func() (proxmox.UPID, error) { return g.pve.Delete(ctx, node, vmid) })
}

func (g *gentle) Tasks(ctx context.Context, node string, f proxmox.TaskFilter) ([]proxmox.Task, error) {
	return through(ctx, g, func() ([]proxmox.Task, error) { return g.pve.Tasks(ctx, node, f) })
}

func (g *gentle) TaskLog(ctx context.Context, upid proxmox.UPID, start, limit int) ([]string, error) {
	return through(ctx, g, func() ([]string, error) { return g.pve.TaskLog(ctx, upid, start, limit) })
}

// TaskError reads a task's log, which needs no daemon worker of its own time; it is let through like the rest.
func (g *gentle) TaskError(ctx context.Context, upid proxmox.UPID, exit string) error {
	_, err := through(ctx, g, func() (struct{}, error) { return struct{}{}, g.pve.TaskError(ctx, upid, exit) })
	return err
}
