// Package startup measures how long the dispatcher takes from its exec to the first time that it has looked at both sides,
// and writes the figures into docs/performance.md:
//
//	make bench-startup
package startup
