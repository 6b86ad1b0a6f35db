// Package proxmox speaks to Proxmox VE's REST API: the calls that Mayfly makes, typed, with error kinds that a caller
// can branch on. The controller, the hand-off and the commands use it.
//
// The one invariant it keeps: a call that changes something is sent again only when it provably wasn't executed.
// Whatever else may have happened is said to the caller as [MaybeHappened], never hidden behind a retry.
package proxmox
