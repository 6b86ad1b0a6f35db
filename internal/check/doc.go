// Package check tells beforehand what would go wrong: it looks at Proxmox VE and GitHub with the configured tokens and gives
// a list of findings, each with its reason and the exact command or click that mends it. `mayfly check` prints them.
//
// Checks run in a fixed order ([Look]), from what all others need (the servers answer) to what only one pool needs. A check that
// can't be made because an earlier one failed gives no finding: the earlier one has said why.
//
// The invariant: a check of a server only reads. Nothing that it asks changes either server, but for canaries and [Apply], which are asked for.
package check
