// Package bench measures what the dispatcher itself costs in a large fleet: the real controller and the real HTTP clients over TCP,
// against servers of recorded replies that spend no time of their own. `make bench` runs it (build tag bench) and writes its part of
// docs/performance.md:
//
//	go test -tags bench -count=1 -v ./test/bench/...
//
// Its times are those of one machine at one moment: nothing is asserted about them but in comparison within a run.
package bench
