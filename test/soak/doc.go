// Package soak looks for what grows: it serves 10,000 jobs through one controller and holds its figures of the last
// thousand against those of the first: goroutines, open files, memory in use. It is behind the build tag soak, since it
// takes minutes:
//
//	go test -tags soak -count=1 -v -timeout 30m ./test/soak/...
//
// Controller and clients are in the test's process, put together as `mayfly run` does it, and the two stand-ins, which
// keep all that ever happened, each in a process of its own: so the figures are the controller's alone. The stand-ins run
// in demo timing and the controller with shorter waits, on the real clock and over real connections.
//
// The invariant: what one job leaves behind in the process is nothing.
package soak
