// Package up is the guide from nothing to the first job as a list of steps, and the last of them: the first job, watched to
// its end. `mayfly up` calls it, and brings the other steps along.
//
// The invariant: nothing is noted between two calls. Whether a step is done is seen from Proxmox, GitHub and the
// configuration, so that a call that was ended anywhere, or one on another machine, goes on where things stand. Who
// dispatches doesn't matter to the watch either: it knows runners by their names and VMs by their markers.
package up
