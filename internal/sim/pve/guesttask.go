package pve

import "context"

// lockVM takes the lock file of a VM or a container, for as long as a worker waits for it.
func (w *worker) lockVM(ctx context.Context, vmid int) (func(), error) {
	return w.node.locks.acquire(ctx, vmid, false, w.s.opts.Timing.LockTimeout, w.say)
}

// underLock is how a worker changes a guest, a VM or a container: it takes the guest's lock file, looks at the guest, because
// much may have happened since the call and the wait, and does its work with the lock file held. look is called with Server.mu
// held, work without.
func underLock[G any](ctx context.Context, w *worker, vmid int, look func() (G, *apiError), work func(G) error) error {
	release, err := w.lockVM(ctx, vmid)
	if err != nil {
		return err
	}
	defer release()
	if err := w.point(ctx, pointLocked); err != nil {
		return err
	}
	w.s.lock()
	guest, aerr := look()
	w.s.mu.Unlock()
	if aerr != nil {
		return aerr
	}
	return work(guest)
}
