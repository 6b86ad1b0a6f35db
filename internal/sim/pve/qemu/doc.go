// Package qemu is a pve.Engine whose machines are real ones: a clone is a qcow2 overlay, a VM made of an imported image
// has a copy of it, a start is a QEMU process, agent calls go to the guest's own qemu-guest-agent. `mayfly demo --qemu`
// and test/e2e use it; the images come from test/guest.
//
// A machine's network ends in QEMU. Of all the world it reaches one service, [GuestGitHubURL], which is the stand-in
// of GitHub on this host's loopback.
//
// The invariant: every QEMU process is a child that [Engine.Close] has killed and waited for when it returns, and the
// kernel kills it should this process die first; sockets and disks are in one folder, which Close removes.
package qemu
