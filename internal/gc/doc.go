// Package gc cleans up once on both sides what no dispatcher sees to any more: VMs without a purpose, registrations
// without a VM, user-data without a runner, disks that a destroy left. `mayfly gc` is its caller.
//
//	look    GitHub's registrations first, then Proxmox's VMs, so that whatever is registered has its VM in the list
//	judge   pure rules over what was seen: judge.go
//	clean   each thing by itself, after a look of its own just before: vms.go, registrations.go, files.go, disks.go
//
// The invariant: nothing goes that isn't provably ours, is younger than the grace, or may have a job, beside a dispatcher
// that runs as without one. fleet.Claim decides whose a VM is, on a config read just before, and GitHub's answer to the
// removal of its registration whether a job may be on it.
package gc
