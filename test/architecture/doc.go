// Package architecture holds no code, only tests of the tree as a whole: which package may import which, that every
// package introduces itself, that every dependency is accounted for, and that nothing in the tree names a place that
// only one machine has.
//
// It is run by `make test`. The invariant: the tables in it are the design; a change of the design changes them, in
// the same commit.
package architecture
