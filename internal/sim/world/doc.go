// Package world is what happens inside the VMs of sim/pve: guests that boot, answer the QEMU guest agent protocol,
// take an identity through run-once.sh as docs/run-once.md says (from the agent, or from the user-data in their
// cloud-init drive), speak the runner protocol to the server that the identity names, do their one job and power off.
// [Report] then tells from the stand-ins' own records what became of it all.
//
// `mayfly demo`, `mayfly sim pve` and tests use it: [NewGuests] is a pve.Engine.
//
// The invariant: a guest knows nothing that a real guest wouldn't. It learns the server's address from its identity,
// touches no state of the stand-ins but through their protocols, and what it leaves on its disk dies with the disk.
package world
