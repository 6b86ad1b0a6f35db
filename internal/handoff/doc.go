// Package handoff gets a runner's identity into its VM. The fleet controller calls it; docs/run-once.md fixes the guest's
// half of it.
//
//   - [Agent] delivers through the QEMU guest agent once the VM is up: nothing secret is ever on a disk.
//   - [ISO] uploads a NoCloud image before the VM starts, has it taken out of the VM's drive when the guest has read it,
//     and deletes it.
//   - [Snippet] writes cloud-init user-data before the VM starts, into a folder that is a snippet storage of Proxmox, and
//     removes it when the start task has ended. Proxmox's copy of it in the VM's cloud-init drive lives as long as the VM.
//
// The invariant: an identity is in memory, on the guest agent's standard input, in an image on a storage of Proxmox until its
// guest has read it, or in a file that only its owner may read; never in an argument, a VM's config, a log or an error.
package handoff
