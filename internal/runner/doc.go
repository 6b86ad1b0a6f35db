// Package runner is the domain: pools, jobs, runners, the names they carry, and the markers that say whose a VM is, what
// a template was built from, and which build a VM belongs to.
//
// It imports nothing of Mayfly's, does no I/O and never reads the clock, so every other package may use its words.
// The one invariant it keeps: a marker that parses back names exactly one VM of exactly one installation.
package runner
