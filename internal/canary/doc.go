// Package canary tries a template: it clones it, boots the clone, asks the guest what it is, and destroys the clone again. Image builds do so
// with each new template, `mayfly check --canary` with those that pools are cloned from.
//
// The invariant: a clone is destroyed only after a look at its notes, which name whose it is and its VMID.
package canary
