// Package process runs the program under test as users run it: built from this checkout, each in a process of its own,
// with its stand-ins in others. For the tests that kill it, search what it leaves behind and let it run for long.
package process
