// Package image builds the templates that runners are cloned from, by Proxmox VE's API alone: a vendor's cloud image is
// brought to a node, a VM made of it runs the provisioning scripts of runners/common, powers off and becomes a template;
// a clone of that is booted to see that it would be a runner; and when that went well on every node, the new version is
// promoted, which is what pools follow.
//
// The command `mayfly image` calls it, and `mayfly run` for its schedule. Like the dispatcher it keeps nothing: which
// images there are, which are promoted and which builds are under way is in Proxmox, as names, tags and markers
// (package runner).
//
// The one invariant: a build that does not end well, however it ends, leaves no VM, no file and no change to what is
// promoted; where it was killed, the next build or prune sweeps what it left. Nothing is touched but VMs of the images'
// VMIDs with a marker of this installation, and files named after it.
package image
