// Package runner is the domain: pools, jobs, runners, the names they carry and the marker that says whose a VM is.
//
// It imports nothing of Mayfly's, does no I/O and never reads the clock, so every other package may use its words.
// The one invariant it keeps: a [Marker] that parses back names exactly one VM of exactly one installation.
package runner
