// Package demand tells the controller which jobs there are. [Poll] asks GitHub about each target in turn; package
// fleet reads it.
//
// The one invariant: silence is not "no jobs". A target that can't be read is named with its error, and its last known
// jobs stay in the reading, with the time they were read.
package demand
