// Package lease lets one of several dispatchers of an installation work while the others stand by. The lease is a line of
// text in the description of a directory mapping of Proxmox VE, in the file system that all nodes share; it is written by
// compare-and-swap on the file's digest. `mayfly run` is the only caller: it works inside [Keeper.Hold] and builds its
// clients with [Term.Guard].
//
//	keeper, err := lease.New(lease.Options{Store: proxmoxClient, Mapping: "mayfly", Installation: "ep", Process: process})
//	err = keeper.Hold(ctx, func(ctx context.Context, t *lease.Term) error {
//		return work(ctx, t.Guard(http.DefaultTransport), t.Lost())
//	})
//
// The invariant: no two processes are let through to change something at the same moment. It needs no common clock. A
// holder counts from just before it sent the renewal that it knows to be written; one that stands by counts from just
// after it first saw that renewal, which is later, and waits longer by a margin (a third of the ttl). Both count by the
// monotonic clock of their own machine.
//
// What it can't do: a request that was on its way when the holder stood still is carried out all the same. docs/ha.md
// says what becomes of those.
package lease
