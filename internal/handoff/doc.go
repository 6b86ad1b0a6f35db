// Package handoff gets a runner identity into a VM and reads back what became of it.
//
// The controller calls it once a VM runs. There is one way for now, [Agent]: the QEMU guest agent executes
// /opt/actions-runner/run-once.sh with the identity on its standard input, so that the identity touches no disk, no VM
// config and no log. The contract with the guest is docs/run-once.md.
//
// The invariant: delivering the same identity to the same VM again changes nothing, so a lost reply is answered by
// delivering again; one VM never accepts a second identity.
package handoff
