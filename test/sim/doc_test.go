// Package sim is the simulation: the real controller with its real clients of Proxmox VE and GitHub, between the two
// stand-ins, in virtual time. Each seed is a world of its own: its size, its jobs, its guests, and what goes wrong in it
// follow from the seed alone, so that a run that failed can be made again.
//
// `make sim` runs it: worlds until HOURS of virtual time are over, or the world of one SEED. `make test` runs a few short
// worlds, and the deliberate breakages of the controller, each of which some invariant must catch.
//
// How it stays the same each time: conductor_test.go. What goes wrong: faults_test.go, troubles_test.go. What must always
// hold: the files called invariant_*_test.go, one rule each.
package sim
